r"""Tokens to a tree: what an expression says, by a grammar that refuses what it does not know.

    sum      = ["+" | "-"] product (("+" | "-") product)*
    product  = power (("*" | "/") signed | power)*          a number may stand behind roots and powers only: 5 7 is none
    power    = atom ("!" | "^" exponent)*
    atom     = number | letter | function | "(" sum ")" | "|" sum "|" | a command (``constructs``)

Letters are letters: a Greek one is no function, and of ``f(2)`` or ``f^{-1}(x)`` nothing is known but the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from dunwu.verifiers.math.brackets import Unreadable, find_closing, join_text, split_at
from dunwu.verifiers.math.commands import SIGN_COMMANDS
from dunwu.verifiers.math.constructs import CONSTRUCTS, FUNCTION_NAMES, read_determinant, read_function
from dunwu.verifiers.math.cursor import DEEPEST, Parser
from dunwu.verifiers.math.letters import (
    CONSTANT_NAMES,
    DECORATIONS,
    GREEK,
    is_letter_product,
    read_called,
    read_decorated,
    read_indexed,
    read_letter,
    read_prescript,
    read_word,
    split_functions,
)
from dunwu.verifiers.math.literals import read_number, read_value
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import (
    IMAGINARY,
    MINUS_ONE,
    PI,
    Call,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    Tree,
    divide,
    negate,
    take_root,
)

COMMANDS = frozenset(
    {*FUNCTION_NAMES, *GREEK, *CONSTANT_NAMES, *DECORATIONS, *CONSTRUCTS, *SIGN_COMMANDS, "mathbb", "emptyset", "ldots"}
)
"""The commands of TeX whose names are no words of a text."""
TRANSPOSED = ("T", "c", "C", "\\complement")
TRANSPOSE = {"\\top": "T", "\\intercal": "T"}
RAISED_SIGNS = ("\\top", "\\intercal", "\\dagger", "*", "\\ast", "\\star", "'", "''")
DEGREE = Number(Fraction(1, 180))


def parse(tokens: Sequence[Token]) -> Tree:
    """Return the tree of an expression.

    Raises:
        Unreadable: For anything outside the grammar, or deeper than ``DEEPEST``.
    """
    return ExpressionParser(tokens).read_all()


class ExpressionParser(Parser):
    """Reads one expression; what stands in brackets is read by a parser of its own."""

    def read_all(self) -> Tree:
        r"""Read all tokens; ``a \over b`` and ``n \choose k`` are split at their sign."""
        if any(token.text == "choose" for token in self.tokens):
            self.tokens = [replace(one, kind="sign") if one.text == "choose" else one for one in self.tokens]
        for sign in ("over", "choose"):
            parts = split_at(self.tokens, (sign,)) if len(self.tokens) > 2 else []
            if len(parts) == 2:
                left, right = map(self.read_inside, parts)
                return divide(left, right) if sign == "over" else Call("binom", (left, right))
        tree = self.read_sum()
        if self.at < len(self.tokens):
            raise Unreadable(f"unexpected {self.tokens[self.at]}")
        return tree

    def read_inside(self, tokens: Sequence[Token]) -> Tree:
        """See ``Parser``; a level deeper than ``DEEPEST`` is Unreadable."""
        if self.depth >= DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        parser = ExpressionParser(tokens, self.depth + 1)
        parser.angular = self.angular
        return parser.read_all()

    # Sums, products, powers

    def read_sum(self) -> Tree:
        """Read terms with signs between them."""
        terms = [self._read_term(self.take("+", "-"))]
        while sign := self.take("+", "-"):
            terms.append(self._read_term(sign))
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def _read_term(self, sign: str) -> Tree:
        tree = self.read_product()
        return negate(tree) if sign == "-" else tree

    def read_product(self, functions: bool = True, division: bool = True) -> Tree:
        """See ``Parser``."""
        start, factors = self.at, [self.read_power()]
        inverse = is_matrix(factors[0], marked=True)
        while True:
            before, start = start, self.at
            if functions and (sign := self.take("*", "×")):
                factors.append(self._read_signed())
                if sign == "×" and self._is_vector(before, factors[-2]) and self._is_vector(start + 1, factors[-1]):
                    factors[-2:] = [Call("cross", (factors[-2], factors[-1]))]
            elif division and self._divides(factors, functions) and self.take("/"):
                divisor = self._read_divisor()
                both = len(factors) == 1 and isinstance(factors[0], Number) and isinstance(divisor, Number)
                factors[-1:] = [divide(factors[-1], divisor)] if both else [factors[-1], Power(divisor, MINUS_ONE)]
                continue
            elif self._follows(factors[-1]) and (functions or not self._is_function()):
                factors.append(self.read_power())
            else:
                factors = group_matrices(factors) if inverse else factors
                return factors[0] if len(factors) == 1 else Product(tuple(factors))
            inverse = inverse or is_matrix(factors[-1], marked=True)

    def _is_vector(self, start: int, tree: Tree) -> bool:
        """Return whether a factor is a letter with an arrow or in bold; of two such a cross is no dot."""
        first = self.tokens[start]
        bold = first.text == "{" and first.roman
        return isinstance(tree, Symbol) and (bold or first.text in ("vec", "hat"))

    def _divides(self, factors: Sequence[Tree], functions: bool) -> bool:
        """Return whether a stroke here divides these factors.

        In an argument it may divide the function instead: sin x/cos x.
        """
        behind = self.peek(1)
        if functions or behind is None:
            return True
        same = len(factors) == 1 and isinstance(factors[0], Symbol) and behind.text == factors[0].name
        return not same and behind.text not in FUNCTION_NAMES

    def _read_signed(self) -> Tree:
        return negate(self.read_power()) if self.take("-") else self.read_power()

    def _read_divisor(self) -> Tree:
        """Read what stands behind a stroke: one factor, but all letters of a word: 1/xy is 1/(xy)."""
        token = self.peek()
        word = token is not None and token.kind == "word" and not split_functions(token.text)
        letters = len(token.text) if token and word and is_letter_product(token) else 1
        factors = [self._read_signed(), *(self.read_power() for _ in range(letters - 1))]
        return factors[0] if letters == 1 else Product(tuple(factors))

    def _follows(self, last: Tree) -> bool:
        """Return whether another factor begins here; a number may not follow a number or a letter."""
        token = self.peek()
        if token is None:
            return False
        if token.kind == "number":
            if last == IMAGINARY:
                return not token.spacing
            raised = (isinstance(last, Power) and last.exponent != MINUS_ONE) or self.tokens[self.at - 1].text == "!"
            closed = self.tokens[self.at - 1].text == ")"
            power = closed and self.peek_sign(1) == "^"  # (n-1)2^n
            return (power or (raised and not closed)) and not token.roman
        if token.kind == "sign":
            return token.text in ("(", "[", "{", "√") or (token.text == "|" and not self.bars)
        if token.kind == "command":
            return token.text not in ("pmod", "bmod", "mod", "mathbbR", "ldots")
        return token.kind in ("word", "begin")

    def _is_function(self) -> bool:
        """Return whether a function follows, e^x too: there the argument of another ends that has no brackets."""
        token = self.peek()
        exponential = token is not None and token.text == "e" and self.peek_sign(1) == "^"
        return exponential or (token is not None and token.kind in ("word", "command") and token.text in FUNCTION_NAMES)

    def read_power(self) -> Tree:
        """See ``Parser``."""
        tree = self._read_atom()
        while True:
            if self.take("!"):
                if self.peek_sign() == "!":
                    raise Unreadable("a double factorial")
                tree = Call("factorial", (tree,))
            elif self.take("^"):
                tree = self._read_raised(tree)
            elif self.take("**"):
                tree = Power(tree, self.read_exponent())
            elif self.angular and self.take("°"):
                tree = Product((tree, PI, DEGREE))
            else:
                return tree

    def _read_raised(self, base: Tree) -> Tree:
        r"""Read what stands above ``base``: an exponent, degrees, or a mark such as ``^\top``, ``^*``, ``^c``."""
        end = find_closing(self.tokens, self.at) if self.peek_sign() == "{" else -1
        group = self.tokens[self.at + 1 : end] if end > 0 else []
        text = join_text(group) if group else str(self.peek() or "")
        matrix = isinstance(base, Symbol) and base.name[:1].isupper() and text in TRANSPOSED
        if not matrix and text not in (*RAISED_SIGNS, "°"):
            return Power(base, self.read_exponent())
        self.at += len(group) + 2 if group else 1
        if text == "°" and self.angular:
            return Product((base, PI, DEGREE))
        if text == "°" or not isinstance(base, Symbol):
            raise Unreadable(f"{text} above {base}")
        if set(text) == {"'"} or text == "\\prime":
            return read_called(self, Symbol(base.name + text.replace("\\prime", "'")))
        return Symbol(f"{base.name}^{TRANSPOSE.get(text, text)}")

    def read_exponent(self) -> Tree:
        """See ``Parser``."""
        with self.descend():
            if self.peek_sign() in ("{", "("):
                return self.read_inside(self.take_bracket())
            if sign := self.take("-", "+"):
                return negate(self.read_exponent()) if sign == "-" else self.read_exponent()
            token = self.peek()
            several = token is not None and token.kind == "word" and len(token.text) > 1
            if token and several and token.text not in CONSTANT_NAMES and not split_functions(token.text):
                return read_letter(self, self.take_token())
            plain = token is not None and token.kind == "number"  # of x^3\frac12 the exponent is 3
            base = Number(read_value(self.take_token())) if plain else self._read_atom()
            return Power(base, self.read_exponent()) if self.take("^") else base

    # Atoms

    def _read_atom(self) -> Tree:
        token = self.peek()
        if token is None:
            raise Unreadable("it ends too early")
        if token.kind == "number":
            return read_number(self)
        if token.kind == "word":
            return read_word(self)
        if token.kind == "command":
            return self._read_command()
        if token.kind == "begin":
            return read_determinant(self)
        if token.text in ("(", "["):
            return self.read_inside(self.take_bracket())
        if token.text == "{":
            content = self.take_bracket()
            return read_prescript(self) if not content and self.peek_sign() == "_" else self.read_inside(content)
        if token.text == "|":
            return self._read_absolute()
        if self.take("√"):
            return take_root(self.read_argument())
        raise Unreadable(f"unexpected {token}")

    def _read_absolute(self) -> Tree:
        self.at += 1
        parser = ExpressionParser(self.tokens[self.at :], self.depth + 1, bars=self.bars + 1)
        if parser.depth > DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        tree = parser.read_sum()
        if not parser.take("|"):
            raise Unreadable("a bar without another")
        self.tokens[self.at :] = parser.tokens
        self.at += parser.at
        return Call("abs", (tree,))

    def _read_command(self) -> Tree:
        name = self.take_token().text
        if name in FUNCTION_NAMES:
            return read_function(self, FUNCTION_NAMES[name])
        if name in CONSTANT_NAMES:
            return CONSTANT_NAMES[name]
        if name == "Gamma" and self.peek_sign() == "(":
            return Call("gamma", (self.read_inside(self.take_bracket()),))
        if name in GREEK:
            tree = read_indexed(self, Symbol(name))
            return read_called(self, tree) if isinstance(tree, Symbol) else tree
        if name in DECORATIONS:
            return read_decorated(self, name)
        if name not in CONSTRUCTS:
            raise Unreadable(f"the command {name}")
        return CONSTRUCTS[name](self)

    # Arguments

    def read_argument(self) -> Tree:
        """See ``Parser``."""
        piece = self.take_piece()
        return self.read_inside(piece) if isinstance(piece, list) else piece

    def take_piece(self) -> list[Token] | Tree:
        """See ``Parser``."""
        token = self.peek()
        if token and token.kind == "command" and (token.text in CONSTRUCTS or token.text in ("sqrt", *DECORATIONS)):
            with self.descend():
                return self._read_command()
        return self.take_argument()

    def take_argument(self, short: bool = False) -> list[Token]:
        """See ``Parser``."""
        before, token = self.peek(-1), self.take_token()
        if token.text in ("{", "(") and token.kind == "sign":
            self.at -= 1
            return self.take_bracket()
        rooted = before is not None and before.text in ("sqrt", "cbrt", "√", "]")
        whole = (
            short or token.text in FUNCTION_NAMES or token.text in CONSTANT_NAMES or (token.kind == "number" and rooted)
        )
        if token.kind in ("number", "word") and len(token.text) > 1 and not whole:
            first, rest = replace(token, text=token.text[0]), replace(token, text=token.text[1:], spacing="")
            self.tokens[self.at - 1 : self.at] = [first, rest]
            return [first]
        if token.kind == "sign" and token.text == "-" and short:
            return [token, *self.take_argument(short=True)]
        return [token]


def is_matrix(tree: Tree, marked: bool = False) -> bool:
    """Return whether a factor may be a matrix, a capital letter; ``marked``: one that is inverted or transposed."""
    if isinstance(tree, Power):
        inverted = tree.exponent == MINUS_ONE
        return is_matrix(tree.base) and (inverted or (not marked and isinstance(tree.exponent, Number)))
    if not isinstance(tree, Symbol):
        return False
    name, _, mark = tree.name.partition("^")
    return name.partition("_")[0].isupper() and bool(mark or not marked)


def group_matrices(factors: Sequence[Tree]) -> list[Tree]:
    """Return factors with those that are matrices as one, in their order: A^{-1}B is not BA^{-1}."""
    matrices = tuple(factor for factor in factors if is_matrix(factor))
    if len(matrices) < 2:
        return list(factors)
    return [*(factor for factor in factors if not is_matrix(factor)), Call("product of matrices", matrices)]
