r"""Tokens to a tree: what an expression says, by a grammar that refuses what it does not know.

    sum      = ["+" | "-"] product (("+" | "-") product)*
    product  = power (("*" | "/") signed | power)*          a number may stand behind roots and powers only: 5 7 is none
    power    = atom ("!" | "^" exponent)*
    atom     = number | letter | function | "(" sum ")" | "|" sum "|" | a command (``constructs``)

Letters are letters: a Greek one is no function, and of ``f(2)`` or ``f^{-1}(x)`` nothing is known but the name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from dunwu.verifiers.math.brackets import Unreadable, closing, split_at, text_of
from dunwu.verifiers.math.constructs import (
    CONSTRUCTS,
    DECORATIONS,
    FUNCTIONS,
    read_decorated,
    read_determinant,
    read_function,
)
from dunwu.verifiers.math.cursor import DEEPEST, Cursor
from dunwu.verifiers.math.tokens import SIGNS, Token
from dunwu.verifiers.math.tree import (
    EULER,
    IMAGINARY,
    INFINITY,
    MINUS_ONE,
    PI,
    Call,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    Tree,
    negative,
    quotient,
    root,
)

LARGEST_EXPONENT = 400
"""Decimal places that a number in scientific notation may have."""
GREEK = frozenset(
    """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon varphi chi psi omega
    Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Pi Rho Sigma Tau Upsilon Phi Chi Psi Omega
    ell hbar varsigma varpi
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
NAMED = {"pi": PI, "infty": INFINITY, "infinity": INFINITY, "inf": INFINITY, "oo": INFINITY}
COMMANDS = frozenset({*FUNCTIONS, *GREEK, *NAMED, *DECORATIONS, *CONSTRUCTS, *SIGNS, "mathbb", "emptyset", "ldots"})
"""The commands of TeX whose names are no words of a text."""
CALLED = frozenset("fghFGHPEQ")
"""Letters that are functions where a bracket follows; any other is a factor, unless the bracket holds one thing."""
TOGETHER = ("abcd", "xyzw", "pqrst", "mnkl", "uvw", "efgh", "ijk", "ABCDEFGHOPQRSTXYZMNK")
"""Three letters or more are a product only where they are of one family: words are none."""
TRANSPOSED = ("T", "c", "C", "\\complement")
MARKED = ("\\top", "\\intercal", "\\dagger", "*", "\\ast", "\\star", "'", "''")
DEGREE = Number(Fraction(1, 180))
SPLIT_FUNCTION = re.compile(rf"([a-zA-Z]?)({'|'.join(sorted(FUNCTIONS, key=len, reverse=True))})([a-zA-Z]?)")


def parse(tokens: Sequence[Token]) -> Tree:
    """Return the tree of an expression.

    Raises:
        Unreadable: for anything outside the grammar, or deeper than ``DEEPEST``.
    """
    return Parser(tokens).whole()


class Parser(Cursor):
    """One expression; what stands in brackets is parsed by a parser of its own."""

    def whole(self) -> Tree:
        r"""The tree of all tokens; ``a \over b`` and ``n \choose k`` are split at their sign."""
        for sign in ("over", "choose"):
            parts = split_at(self.tokens, (sign,)) if len(self.tokens) > 2 else []
            if len(parts) == 2:
                left, right = map(self.inside, parts)
                return quotient(left, right) if sign == "over" else Call("binom", (left, right))
        tree = self.sum()
        if self.at < len(self.tokens):
            raise Unreadable(f"unexpected {self.tokens[self.at]}")
        return tree

    def inside(self, tokens: Sequence[Token]) -> Tree:
        """The tree of tokens that stand within brackets of this expression."""
        if self.depth >= DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        parser = Parser(tokens, self.depth + 1)
        parser.angular = self.angular
        return parser.whole()

    # Sums, products, powers

    def sum(self) -> Tree:
        """Terms with signs between them."""
        terms = [self._term(self.take("+", "-"))]
        while sign := self.take("+", "-"):
            terms.append(self._term(sign))
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def _term(self, sign: str) -> Tree:
        tree = self.product()
        return negative(tree) if sign == "-" else tree

    def product(self, functions: bool = True, division: bool = True) -> Tree:
        """Factors, with signs between them or without.

        Args:
            functions: whether a function or ``*`` may follow; an argument without brackets ends before them.
            division: whether a stroke may follow: it belongs to the argument of an angle only.
        """
        factors = [self.power()]
        while True:
            if functions and (sign := self.take("*", "×")):
                factor = self._signed()
                vectors = [is_vector(one) for one in (factors[-1], factor)]
                if all(vectors) and sign == "×":
                    factors[-1] = Call("cross", (factors[-1], factor))
                else:
                    factors.append(factor)
            elif division and self.take("/"):
                divisor = self._divisor()
                both = len(factors) == 1 and isinstance(factors[0], Number) and isinstance(divisor, Number)
                factors[-1:] = [quotient(factors[-1], divisor)] if both else [factors[-1], Power(divisor, MINUS_ONE)]
            elif self._follows(factors[-1]) and (functions or not self._is_function()):
                factors.append(self.power())
            else:
                return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def _signed(self) -> Tree:
        return negative(self.power()) if self.take("-") else self.power()

    def _divisor(self) -> Tree:
        """What stands behind a stroke: one factor, but all letters of a word: 1/xy is 1/(xy)."""
        token = self.peek()
        letters = len(token.text) if token and token.kind == "word" and product_of_letters(token) else 1
        factors = [self._signed(), *(self.power() for _ in range(letters - 1))]
        return factors[0] if letters == 1 else Product(tuple(factors))

    def _follows(self, last: Tree) -> bool:
        """Whether another factor begins here; a number may not follow a number or a letter."""
        token = self.peek()
        if token is None:
            return False
        if token.kind == "number":
            if last == IMAGINARY:
                return not token.gap
            raised = isinstance(last, Power) and last.exponent != MINUS_ONE
            return raised and self.tokens[self.at - 1].text != ")" and not token.roman
        if token.kind == "sign":
            return token.text in ("(", "[", "{", "√") or (token.text == "|" and not self.bars)
        if token.kind == "command":
            return token.text not in ("pmod", "bmod", "mod", "mathbbR", "ldots")
        return token.kind in ("word", "begin")

    def _is_function(self) -> bool:
        token = self.peek()
        return token is not None and token.kind in ("word", "command") and token.text in FUNCTIONS

    def power(self) -> Tree:
        """An atom with what stands above and behind it."""
        tree = self._atom()
        while True:
            if self.take("!"):
                if self.sign() == "!":
                    raise Unreadable("a double factorial")
                tree = Call("factorial", (tree,))
            elif self.take("^"):
                tree = self._raised(tree)
            elif self.take("**"):
                tree = Power(tree, self.exponent())
            elif self.angular and self.take("°"):
                tree = Product((tree, PI, DEGREE))
            else:
                return tree

    def _raised(self, base: Tree) -> Tree:
        r"""``base`` with what stands above it: an exponent, degrees, or a mark such as ``^\top``, ``^*``, ``^c``."""
        end = closing(self.tokens, self.at) if self.sign() == "{" else -1
        group = self.tokens[self.at + 1 : end] if end > 0 else []
        text = text_of(group) if group else str(self.peek() or "")
        matrix = isinstance(base, Symbol) and base.name[:1].isupper() and text in TRANSPOSED
        if not matrix and text not in (*MARKED, "°"):
            return Power(base, self.exponent())
        self.at += len(group) + 2 if group else 1
        if text == "°" and self.angular:
            return Product((base, PI, DEGREE))
        if text == "°" or not isinstance(base, Symbol):
            raise Unreadable(f"{text} above {base}")
        return Symbol(f"{base.name}^{text}")

    def exponent(self) -> Tree:
        """What stands above: a group, a number, or one letter; ``x^12`` is read as it is meant."""
        with self.deeper():
            if self.sign() in ("{", "("):
                return self.inside(self.enclosed())
            if sign := self.take("-", "+"):
                return negative(self.exponent()) if sign == "-" else self.exponent()
            token = self.peek()
            if token and token.kind == "word" and len(token.text) > 1 and token.text not in NAMED:
                return self._letter(self.next())
            plain = token is not None and token.kind == "number"  # of x^3\frac12 the exponent is 3
            base = Number(number_value(self.next())) if plain else self._atom()
            return Power(base, self.exponent()) if self.take("^") else base

    # Atoms

    def _atom(self) -> Tree:
        token = self.peek()
        if token is None:
            raise Unreadable("it ends too early")
        if token.kind == "number":
            return self._number()
        if token.kind == "word":
            return self._word()
        if token.kind == "command":
            return self._command()
        if token.kind == "begin":
            return read_determinant(self)
        if token.text in ("(", "["):
            return self.inside(self.enclosed())
        if token.text == "{":
            content = self.enclosed()
            return self._prescript() if not content and self.sign() == "_" else self.inside(content)
        if token.text == "|":
            return self._absolute()
        if self.take("√"):
            return root(self.argument())
        raise Unreadable(f"unexpected {token}")

    def _absolute(self) -> Tree:
        self.at += 1
        parser = Parser(self.tokens[self.at :], self.depth + 1, bars=self.bars + 1)
        if parser.depth > DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        tree = parser.sum()
        if not parser.take("|"):
            raise Unreadable("a bar without another")
        self.tokens[self.at :] = parser.tokens
        self.at += parser.at
        return Call("abs", (tree,))

    def _number(self) -> Tree:
        token = self.next()
        following = self.peek()
        if following and following.kind == "command" and following.text in ("overline", "bar", "dot"):
            return Number(self._recurring(token.text))
        return Number(number_value(token) + (self._mixed_part() or 0))

    def _mixed_part(self) -> Fraction | None:
        r"""The fraction of a mixed number, ``\frac{1}{2}`` behind 3, or 1/2 with a space between; else None."""
        start, token = self.at, self.peek()
        pieces: list[Token] = []
        if token and token.kind == "command" and token.text == "frac":
            self.at += 1
            for part in (self.piece(), self.piece()):
                pieces += part if isinstance(part, list) and len(part) == 1 else []
        elif token and token.kind == "number" and token.gap and self.sign(1) == "/":
            pieces = [token, *self.tokens[self.at + 2 : self.at + 3]]
            self.at += 3
        if len(pieces) == 2 and all(piece.kind == "number" and piece.text.isdigit() for piece in pieces):
            above, below = (int(piece.text) for piece in pieces)
            if above < below:
                return Fraction(above, below)
            raise Unreadable("a mixed number with an improper fraction")
        self.at = start
        return None

    def _recurring(self, text: str) -> Fraction:
        r"""0.1\overline{6}, 0.1\dot{6} and 0.\dot{1}4\dot{2}: (16 - 1)/90."""
        dotted = self.next().text == "dot"
        period = text_of(self.argument_tokens())
        if dotted and (between := self.peek()) and between.kind in ("number", "command"):
            period += self.next().text if between.kind == "number" else ""
            if self.next().text != "dot":
                raise Unreadable("a recurring decimal whose period does not end")
            period += text_of(self.argument_tokens())
        whole, _, fixed = text.partition(".")
        if "." not in text or not period.isascii() or not period.isdigit():
            raise Unreadable("a line above what is no period")
        shifted, start = int(whole + fixed + period), int(whole + fixed or "0")
        return Fraction(shifted - start, 10 ** (len(fixed) + len(period)) - 10 ** len(fixed))

    # Words and letters

    def _word(self) -> Tree:
        token = self.next()
        if token.text in FUNCTIONS:
            return read_function(self, FUNCTIONS[token.text])
        if token.text in NAMED:
            return NAMED[token.text]
        if token.text in GREEK and len(token.text) > 2:
            return self.indexed(Symbol(token.text))
        match = SPLIT_FUNCTION.fullmatch(token.text)
        if match:  # xsin, lnx
            self.tokens[self.at - 1 : self.at] = [replace(token, text=one, gap="") for one in match.groups() if one]
            self.at -= 1
            return self.power()
        if not product_of_letters(token):
            raise Unreadable(f"the word {token.text}")
        return self._letter(token)

    def _letter(self, token: Token) -> Tree:
        """The first letter of a word, with its index and primes if it is the only one; the others follow as factors."""
        if len(token.text) > 1:
            self.tokens.insert(self.at, replace(token, text=token.text[1:], gap=""))
            return letter(token.text[0])
        tree = self.indexed(letter(token.text))
        return self._called(tree) if isinstance(tree, Symbol) and tree not in (IMAGINARY, EULER) else tree

    def indexed(self, tree: Symbol) -> Tree:
        """A letter with its index and primes; C_5^2 is a binomial coefficient, A_5^2 counts arrangements."""
        name = tree.name
        if self.take("_"):
            index = self.argument_tokens(short=True)
            if not index:
                raise Unreadable("an empty index")
            if name in ("C", "A") and self.sign() == "^" and (chosen := self._chosen(name, index)):
                return chosen
            name += f"_{text_of(index)}"
        while self.take("'"):
            name += "'"
        return Symbol(name) if name != tree.name else tree

    def _chosen(self, name: str, index: list[Token]) -> Tree | None:
        start, self.at = self.at, self.at + 1
        try:
            n, k = self.inside(index), self.inside(self.argument_tokens(short=True))
        except Unreadable:
            self.at = start
            return None
        numbers = [one.value for one in (n, k) if isinstance(one, Number)]
        counted = len(numbers) == 2 and numbers[0] >= numbers[1] >= 0
        if name == "C" and (counted or not numbers):
            return Call("binom", (n, k))
        if name == "A" and counted:
            return quotient(Call("factorial", (n,)), Call("factorial", (Number(numbers[0] - numbers[1]),)))
        self.at = start
        return None

    def _called(self, tree: Symbol) -> Tree:
        """``f(x)``, ``f^{-1}(x)``, ``y(0)``: a function of which only the name is known. ``x(x+1)`` is a product."""
        start, above = self.at, ""
        known = tree.name.rstrip("'")[:1] in CALLED
        if known and self.take("^"):
            above = "^" + text_of(self.argument_tokens(short=True))
        end = closing(self.tokens, self.at) if self.sign() == "(" else -1
        content = self.tokens[self.at + 1 : end] if end > 0 else []
        alone = len(content) == 1 or any(token.text in (",", "，") for token in content)
        if not content or not (known or alone):
            self.at = start
            return tree
        self.at = end + 1
        arguments = tuple(self.inside(part) for part in split_at(content, (",", "，", ";")))
        return Call("binom" if tree.name == "C" and len(arguments) == 2 else tree.name + above, arguments)

    def _prescript(self) -> Tree:
        """``{}_5C_2``: the index stands in front."""
        self.at += 1
        n, name = self.inside(self.argument_tokens(short=True)), self.next().text
        if name not in ("C", "P", "A") or not self.take("_"):
            raise Unreadable("an index in front of nothing")
        k = self.inside(self.argument_tokens(short=True))
        chosen = Call("binom", (n, k))
        return chosen if name == "C" else Product((chosen, Call("factorial", (k,))))

    def _command(self) -> Tree:
        name = self.next().text
        if name in FUNCTIONS:
            return read_function(self, FUNCTIONS[name])
        if name in NAMED:
            return NAMED[name]
        if name == "Gamma" and self.sign() == "(":
            return Call("gamma", (self.inside(self.enclosed()),))
        if name in GREEK:
            tree = self.indexed(Symbol(name))
            return self._called(tree) if isinstance(tree, Symbol) else tree
        if name in DECORATIONS:
            return read_decorated(self, name)
        if name not in CONSTRUCTS:
            raise Unreadable(f"the command {name}")
        return CONSTRUCTS[name](self)

    # Arguments

    def argument(self) -> Tree:
        """The tree of an argument."""
        piece = self.piece()
        return self.inside(piece) if isinstance(piece, list) else piece

    def piece(self) -> list[Token] | Tree:
        r"""The tokens of an argument, or the tree of a command without braces: ``\frac\pi6``, ``\sqrt\frac12``."""
        token = self.peek()
        if token and token.kind == "command" and (token.text in CONSTRUCTS or token.text in ("sqrt", *DECORATIONS)):
            with self.deeper():
                return self._command()
        return self.argument_tokens()

    def argument_tokens(self, short: bool = False) -> list[Token]:
        r"""The tokens of an argument: a group, a bracket, one digit of ``\frac12``, a letter, a command.

        Args:
            short: of an index or a bound, where several digits or letters without braces belong together.
        """
        before, token = self.peek(-1), self.next()
        if token.text in ("{", "(") and token.kind == "sign":
            self.at -= 1
            return self.enclosed()
        rooted = before is not None and before.text in ("sqrt", "cbrt", "√", "]")
        whole = short or token.text in FUNCTIONS or token.text in NAMED or (token.kind == "number" and rooted)
        if token.kind in ("number", "word") and len(token.text) > 1 and not whole:
            first, rest = replace(token, text=token.text[0]), replace(token, text=token.text[1:], gap="")
            self.tokens[self.at - 1 : self.at] = [first, rest]
            return [first]
        if token.kind == "sign" and token.text == "-" and short:
            return [token, *self.argument_tokens(short=True)]
        return [token]


def is_vector(tree: Tree) -> bool:
    """Return whether a tree is a letter with an arrow: of two, a cross is no dot, and has an order."""
    return isinstance(tree, Symbol) and tree.name.startswith("\\vec ")


def letter(name: str) -> Symbol:
    """Return the symbol of one letter: e and i are constants."""
    return {"e": EULER, "i": IMAGINARY}.get(name, Symbol(name))


def product_of_letters(token: Token) -> bool:
    """Return whether a word in an expression is a product of its letters: xy and abc, but no longer word."""
    text = token.text
    if len(text) <= 2 and not (token.roman and len(text) > 1 and not text.isupper()):
        return text.isascii()
    return text.isascii() and any(set(text) <= set(family) for family in TOGETHER)


def number_value(token: Token) -> Fraction:
    """Return the value of a number's digits, exact.

    Raises:
        Unreadable: it is in scientific notation and absurdly large or small.
    """
    mantissa, _, exponent = token.text.partition("e")
    if exponent and abs(int(exponent)) > LARGEST_EXPONENT:
        raise Unreadable("a number of that many places")
    value = Fraction(mantissa.rstrip(".") or "0")
    return value * Fraction(10) ** int(exponent) if exponent else value
