r"""Tokens to a tree: what an expression says, by a grammar that refuses what it does not know.

    sum      = ["+" | "-"] product (("+" | "-") product)*
    product  = power (("*" | "/") signed | power)*          a number may stand behind roots and powers only: 5 7 is none
    power    = atom ("!" | "^" exponent)*
    atom     = number | letter | function | "(" sum ")" | "|" sum "|" | \frac | \sqrt | \binom | \sum | \int | \lim | ...

Letters are letters: a Greek one is no function, and of ``f(2)`` or ``f^{-1}(x)`` nothing is known but the name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from dunwu.verifiers.math.tokens import CLOSING, OPENING, SIGNS, Token
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
    substitute,
)

DEEPEST = 40
"""Brackets, fractions and roots inside one another."""
LARGEST_EXPONENT = 400
"""Decimal places that a number in scientific notation may have."""


class Unreadable(ValueError):  # noqa: N818  -- a finding, not a failure
    """The tokens are no expression that this grammar knows."""


FUNCTIONS = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "arcsin": "arcsin",
    "arccos": "arccos", "arctan": "arctan", "arccot": "arccot", "arcsec": "arcsec", "arccsc": "arccsc",
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "coth": "coth", "ln": "ln", "log": "log", "lg": "log", "exp": "exp", "max": "max", "min": "min", "gcd": "gcd",
    "lcm": "lcm", "abs": "abs", "floor": "floor", "ceil": "ceil", "sqrt": "sqrt", "cbrt": "cbrt", "det": "det",
}  # fmt: skip
"""By the names under which they are written, with a backslash or without."""
ANGULAR = frozenset({"sin", "cos", "tan", "cot", "sec", "csc"})
INVERSE = {name: f"arc{name}" for name in ANGULAR}
GREEK = frozenset(
    """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon varphi chi psi omega
    Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Pi Rho Sigma Tau Upsilon Phi Chi Psi Omega
    ell hbar varsigma varpi
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
NAMED = {"pi": PI, "infty": INFINITY, "infinity": INFINITY, "inf": INFINITY, "oo": INFINITY}
DECORATIONS = frozenset(
    "overline bar vec hat widehat tilde widetilde dot ddot overset angle measuredangle triangle odot overarc wideparen".split()
)
CALLED = frozenset("fghFGHPEQ")
"""Letters that are functions where a bracket follows; any other is a factor, unless the bracket holds one thing."""
TOGETHER = ("abcd", "xyzw", "pqrst", "mnkl", "uvw", "efgh", "ijk", "ABCDEFGHOPQRSTXYZMNK")
"""Three letters or more are a product only where they are of one family: words are none."""
DIFFERENTIAL = re.compile(r"(?:d|\\partial)(?:\^\d)?[a-zA-Z]?")
SPLIT_FUNCTION = re.compile(rf"([a-zA-Z]?)({'|'.join(sorted(FUNCTIONS, key=len, reverse=True))})([a-zA-Z]?)")


def parse(tokens: Sequence[Token]) -> Tree:
    """Return the tree of an expression.

    Raises:
        Unreadable: for anything outside the grammar, or deeper than ``DEEPEST``.
    """
    return _Parser(tokens).whole()


def closing(tokens: Sequence[Token], start: int) -> int:
    """Return the place of what closes the bracket or brace at ``start``, whichever kind it is; -1 where nothing does."""
    depth = 0
    for place in range(start, len(tokens)):
        text = str(tokens[place])
        depth += text in (*OPENING, "{")
        depth -= text in (*CLOSING, "}")
        if depth == 0:
            return place
    return -1


def text_of(tokens: Sequence[Token]) -> str:
    """Return tokens as text without gaps, for names."""
    return "".join(map(str, tokens)).replace("{", "").replace("}", "")


class _Parser:
    """One expression. ``at`` is the next token; brackets are parsed where they stand."""

    def __init__(self, tokens: Sequence[Token], depth: int = 0, bars: int = 0) -> None:
        self.tokens = list(tokens)
        self.at = 0
        self.depth = depth
        self.bars = bars
        self.angular = False

    # What stands here

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.at + ahead
        return self.tokens[place] if 0 <= place < len(self.tokens) else None

    def sign(self, ahead: int = 0) -> str:
        token = self.peek(ahead)
        return token.text if token and token.kind == "sign" else ""

    def take(self, *signs: str) -> str:
        sign = self.sign()
        if sign and sign in signs:
            self.at += 1
            return sign
        return ""

    def next(self) -> Token:
        token = self.peek()
        if token is None:
            raise Unreadable("it ends too early")
        self.at += 1
        return token

    def whole(self) -> Tree:
        r"""The tree of all tokens; ``a \over b`` and ``n \choose k`` are split at their sign."""
        for sign, make in (("over", quotient), ("choose", lambda n, k: Call("binom", (n, k)))):
            parts = split_at(self.tokens, (sign,)) if len(self.tokens) > 2 else []
            if len(parts) == 2:
                return make(self.inside(parts[0]), self.inside(parts[1]))  # type: ignore[operator,no-any-return]
        tree = self.sum()
        if self.at < len(self.tokens):
            raise Unreadable(f"unexpected {self.tokens[self.at]}")
        return tree

    def inside(self, tokens: Sequence[Token]) -> Tree:
        """The tree of tokens that stand within brackets of this expression."""
        if self.depth >= DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        parser = _Parser(tokens, self.depth + 1)
        parser.angular = self.angular
        return parser.whole()

    def enclosed(self) -> list[Token]:
        """The tokens of the bracket that opens here, which is taken whole."""
        end = closing(self.tokens, self.at)
        pairs = {"(": ")", "[": "]", "{": "}", "\\{": "\\}", "⟨": "⟩"}
        if end < 0 or pairs[self.tokens[self.at].text] != self.tokens[end].text:
            raise Unreadable("a bracket is not closed")
        tokens = self.tokens[self.at + 1 : end]
        self.at = end + 1
        return tokens

    # Sums, products, powers

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(f"deeper than {DEEPEST} levels")
        terms = [self.term(self.take("+", "-"))]
        while sign := self.take("+", "-"):
            terms.append(self.term(sign))
        self.depth -= 1
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def term(self, sign: str) -> Tree:
        tree = self.product()
        return negative(tree) if sign == "-" else tree

    def product(self, functions: bool = True, division: bool = True) -> Tree:
        """A product; an argument without brackets ends before the next function, and before a stroke where it is not
        ``division`` of an angle."""
        tree = self.power()
        while True:
            if self.sign() == "*" and functions:
                self.at += 1
                tree = Product((tree, self.signed()))
            elif self.sign() == "/" and division:
                self.at += 1
                tree = quotient(tree, self.signed())
            elif self.follows(tree) and (functions or not self.is_function()):
                tree = Product((tree, self.power()))
            else:
                return tree

    def signed(self) -> Tree:
        return negative(self.power()) if self.take("-") else self.power()

    def follows(self, before: Tree) -> bool:
        """Whether another factor begins here; a number may not follow a number or a letter."""
        token = self.peek()
        if token is None:
            return False
        if token.kind == "number":
            last = before.factors[-1] if isinstance(before, Product) else before
            behind = self.tokens[self.at - 1]
            if last == IMAGINARY:
                return not token.gap
            return isinstance(last, Power) and last.exponent != MINUS_ONE and behind.text != ")" and not token.roman
        if token.kind == "sign":
            return token.text in ("(", "[", "{", "√") or (token.text == "|" and not self.bars)
        if token.kind == "command":
            return token.text not in ("pmod", "bmod", "mod", "mathbbR", "ldots")
        return token.kind in ("word", "begin")

    def is_function(self) -> bool:
        token = self.peek()
        return token is not None and token.kind in ("word", "command") and token.text in FUNCTIONS

    def power(self) -> Tree:
        tree = self.atom()
        while True:
            if self.take("!"):
                if self.sign() == "!":
                    raise Unreadable("a double factorial")
                tree = Call("factorial", (tree,))
            elif self.sign() == "^":
                self.at += 1
                tree = self.raised(tree)
            elif self.sign() == "**":
                self.at += 1
                tree = Power(tree, self.exponent())
            elif self.angular and self.take("°"):
                tree = Product((tree, PI, Number(Fraction(1, 180))))
            else:
                return tree

    def raised(self, base: Tree) -> Tree:
        r"""``base`` with what stands above it: an exponent, or a mark such as ``^\top``, ``^*``, ``^c``."""
        mark = self.peek()
        group = self.tokens[self.at + 1 : closing(self.tokens, self.at)] if self.sign() == "{" else []
        text = text_of(group) if group else str(mark or "")
        matrix = isinstance(base, Symbol) and base.name[:1].isupper() and text in ("T", "c", "C", "\\complement")
        if text in ("\\top", "\\intercal", "\\dagger", "*", "\\ast", "\\star", "'", "''") or matrix:
            if not isinstance(base, Symbol):
                raise Unreadable(f"{text} above what is no letter")
            self.at += len(group) + 2 if group else 1
            return Symbol(f"{base.name}^{text}")
        if text == "°":
            if not self.angular:
                raise Unreadable("degrees within an expression")
            self.at += len(group) + 2 if group else 1
            return Product((base, PI, Number(Fraction(1, 180))))
        return Power(base, self.exponent())

    def exponent(self) -> Tree:
        if self.sign() in ("{", "("):
            return self.inside(self.enclosed())
        if self.take("-"):
            return negative(self.exponent())
        if self.take("+"):
            return self.exponent()
        token = self.peek()
        if token and token.kind == "word" and len(token.text) > 1 and token.text not in NAMED:
            return self.letters_of(self.first_letter())
        base = self.atom()
        return Power(base, self.exponent()) if self.take("^") else base

    # Atoms

    def atom(self) -> Tree:
        token = self.peek()
        if token is None:
            raise Unreadable("it ends too early")
        if token.kind == "number":
            return self.number()
        if token.kind == "word":
            return self.word()
        if token.kind == "command":
            return self.command()
        if token.kind == "begin":
            return self.determinant()
        if token.text in ("(", "["):
            return self.inside(self.enclosed())
        if token.text == "{":
            return self.braced()
        if token.text == "|":
            return self.absolute()
        if self.take("√"):
            return root(self.argument())
        raise Unreadable(f"unexpected {token}")

    def number(self) -> Tree:
        token = self.next()
        value = number_value(token)
        following = self.peek()
        if following and following.kind == "command" and following.text in ("overline", "bar", "dot"):
            return Number(self.recurring(token.text))
        if mixed := self.mixed_part():
            return Number(value + mixed)
        return Number(value)

    def mixed_part(self) -> Fraction | None:
        r"""The fraction of a mixed number: ``\frac{1}{2}`` behind 3, or 1/2 with a space between; taken if it is one."""
        start = self.at
        token = self.peek()
        above = below = None
        if token and token.kind == "command" and token.text == "frac":
            self.at += 1
            above, below = self.argument_tokens(), self.argument_tokens()
        elif token and token.kind == "number" and token.gap and self.sign(1) == "/":
            above, below = [token], self.tokens[self.at + 2 : self.at + 3]
            self.at += 3
        pieces = [*(above or []), *(below or [])]
        if len(pieces) == 2 and all(piece.kind == "number" and piece.text.isdigit() for piece in pieces):
            high, low = int(pieces[0].text), int(pieces[1].text)
            if high < low:
                return Fraction(high, low)
            raise Unreadable("a mixed number with an improper fraction")
        self.at = start
        return None

    def recurring(self, text: str) -> Fraction:
        r"""0.1\overline{6}, 0.1\dot{6} and 0.\dot{1}4\dot{2}: (16 - 1)/90."""
        dotted = self.next().text == "dot"
        period = text_of(self.argument_tokens())
        if dotted and (between := self.peek()) and between.kind in ("number", "command"):
            if between.kind == "number":
                period += self.next().text
            if self.next().text != "dot":
                raise Unreadable("a recurring decimal whose period does not end")
            period += text_of(self.argument_tokens())
        whole, _, fixed = text.partition(".")
        if "." not in text or not period.isascii() or not period.isdigit():
            raise Unreadable("a line above what is no period")
        shifted, start = int(whole + fixed + period), int(whole + fixed or "0")
        return Fraction(shifted - start, 10 ** (len(fixed) + len(period)) - 10 ** len(fixed))

    def word(self) -> Tree:
        token = self.next()
        if token.text in FUNCTIONS:
            return self.function(FUNCTIONS[token.text])
        if token.text in NAMED:
            return NAMED[token.text]
        if token.text in GREEK and len(token.text) > 2:
            return self.indexed(Symbol(token.text))
        if token.text.isascii() and (match := SPLIT_FUNCTION.fullmatch(token.text)):
            return self.run_together(token, match)
        if not product_of_letters(token):
            raise Unreadable(f"the word {token.text}")
        return self.letters_of(token)

    def run_together(self, token: Token, match: re.Match[str]) -> Tree:
        """``xsin`` and ``lnx``: a letter and a function without a space."""
        pieces = [replace(token, text=piece, gap="") for piece in match.groups() if piece]
        self.tokens[self.at - 1 : self.at] = pieces
        self.at -= 1
        return self.product()

    def letters_of(self, token: Token) -> Tree:
        """The product of the letters of a word; the last one may have an index, primes, or be a function."""
        *before, last = token.text
        trees: list[Tree] = [letter(name) for name in before]
        tree = self.indexed(letter(last))
        if isinstance(tree, Symbol) and tree not in (IMAGINARY, EULER):
            tree = self.called(tree)
        trees.append(tree)
        return trees[0] if len(trees) == 1 else Product(tuple(trees))

    def first_letter(self) -> Token:
        r"""Splits the word here: ``x^ab`` is x^a b."""
        token = self.tokens[self.at]
        pieces = [replace(token, text=token.text[:1]), replace(token, text=token.text[1:], gap="")]
        self.tokens[self.at : self.at + 1] = pieces
        self.at += 1
        return pieces[0]

    def indexed(self, tree: Symbol) -> Tree:
        """A letter with its index and primes; C_5^2 is a binomial coefficient, A_5^2 counts arrangements."""
        name = tree.name
        if self.sign() == "_":
            self.at += 1
            index = self.argument_tokens(short=True)
            if not index:
                raise Unreadable("an empty index")
            if name in ("C", "A") and self.sign() == "^" and (chosen := self.chosen(name, index)):
                return chosen
            name += f"_{text_of(index)}"
        while self.take("'"):
            name += "'"
        return Symbol(name) if name != tree.name else tree

    def chosen(self, name: str, index: list[Token]) -> Tree | None:
        start, self.at = self.at, self.at + 1
        above = self.argument_tokens(short=True)
        try:
            n, k = self.inside(index), self.inside(above)
        except Unreadable:
            self.at = start
            return None
        whole = isinstance(n, Number) and isinstance(k, Number) and n.value >= k.value >= 0
        if not whole and (name == "A" or isinstance(n, Number)):
            self.at = start
            return None
        if name == "C":
            return Call("binom", (n, k))
        assert isinstance(n, Number) and isinstance(k, Number)
        return quotient(Call("factorial", (n,)), Call("factorial", (Number(n.value - k.value),)))

    def called(self, tree: Symbol) -> Tree:
        """``f(x)``, ``f^{-1}(x)``, ``y(0)``: a function of which only the name is known. ``x(x+1)`` is a product."""
        start, above = self.at, ""
        if self.sign() == "^" and tree.name.rstrip("'")[:1] in CALLED:
            self.at += 1
            above = "^" + text_of(self.argument_tokens(short=True))
        if self.sign() != "(" or closing(self.tokens, self.at) < 0:
            self.at = start
            return tree
        end = closing(self.tokens, self.at)
        content = self.tokens[self.at + 1 : end]
        known = tree.name.rstrip("'")[:1] in CALLED
        alone = len(content) == 1 or any(token.text in (",", "，") for token in content)
        if not (known or alone) or not content:
            self.at = start
            return tree
        self.at = end + 1
        arguments = tuple(self.inside(part) for part in split_at(content, (",", "，", ";")))
        if tree.name == "C" and len(arguments) == 2:
            return Call("binom", arguments)
        return Call(tree.name + above, arguments)

    def braced(self) -> Tree:
        """A group; ``{}_5C_2`` begins with an empty one."""
        content = self.enclosed()
        return self.prescript() if not content and self.sign() == "_" else self.inside(content)

    def prescript(self) -> Tree:
        self.at += 1
        n = self.inside(self.argument_tokens(short=True))
        name = self.next().text
        if name not in ("C", "P", "A") or not self.take("_"):
            raise Unreadable("an index in front of nothing")
        k = self.inside(self.argument_tokens(short=True))
        chosen = Call("binom", (n, k))
        return chosen if name == "C" else Product((chosen, Call("factorial", (k,))))

    def absolute(self) -> Tree:
        self.at += 1
        parser = _Parser(self.tokens[self.at :], self.depth, bars=self.bars + 1)
        tree = parser.sum()
        if parser.sign() != "|":
            raise Unreadable("a bar without another")
        self.tokens[self.at :] = parser.tokens
        self.at += parser.at + 1
        return Call("abs", (tree,))

    # Commands

    def command(self) -> Tree:
        token = self.next()
        name = token.text
        if name in FUNCTIONS:
            return self.function(FUNCTIONS[name])
        if name in NAMED:
            return NAMED[name]
        if name == "Gamma" and self.sign() == "(":
            return Call("gamma", (self.inside(self.enclosed()),))
        if name in GREEK:
            tree = self.indexed(Symbol(name))
            return self.called(tree) if isinstance(tree, Symbol) and self.sign() in ("(",) else tree
        if name in DECORATIONS:
            return self.decorated(name)
        reader = CONSTRUCTS.get(name)
        if reader is None:
            raise Unreadable(f"the command {name}")
        return reader(self)

    def decorated(self, name: str) -> Tree:
        r"""``\overline{AB}``, ``\angle ABC``: one name."""
        content = self.argument_tokens()
        if not content:
            raise Unreadable(f"nothing behind {name}")
        return self.indexed(Symbol(f"\\{name} {text_of(content)}"))

    def fraction(self) -> Tree:
        above, below = self.argument_tokens(), self.argument_tokens()
        names = text_of(above), text_of(below)
        if DIFFERENTIAL.fullmatch(names[0]) and names[1][:1] in ("d", "\\") and names[0][:1] == names[1][:1]:
            if re.fullmatch(r"(?:(?:d|\\partial)[a-zA-Z](?:\^\d)?)+", names[1]):
                return Symbol(f"{names[0]}/{names[1]}")
        return quotient(self.inside(above), self.inside(below))

    def square_root(self) -> Tree:
        index = None
        if self.sign() == "[":
            index = self.inside(self.enclosed())
        return root(self.argument(), index)

    def binomial(self) -> Tree:
        return Call("binom", (self.argument(), self.argument()))

    def floor(self, name: str, end: str) -> Tree:
        depth = 1
        for place in range(self.at, len(self.tokens)):
            text = self.tokens[place].text
            depth += text in ("lfloor", "lceil")
            depth -= text in ("rfloor", "rceil")
            if depth == 0:
                content, self.at = self.tokens[self.at : place], place + 1
                if text != end:
                    break
                return Call(name, (self.inside(content),))
        raise Unreadable(f"{name} is not closed")

    def function(self, name: str) -> Tree:
        r"""A function with its power, index and argument: ``\sin^2 x``, ``\log_2 5``, ``\max(a,b)``, ``\cos 3x``."""
        if name == "sqrt":
            return self.square_root()
        base, above = None, None
        for _ in range(2):
            if base is None and name == "log" and self.sign() == "_":
                self.at += 1
                base = self.inside(self.argument_tokens(short=True))
            elif above is None and self.sign() == "^":
                self.at += 1
                above = self.exponent()
        if name == "cbrt":
            return root(self.argument(), Number(Fraction(3)))
        if above == MINUS_ONE:
            if name not in INVERSE:
                raise Unreadable(f"the inverse of {name}")
            name, above = INVERSE[name], None
        tree = self.applied(name, self.arguments(name), base)
        return tree if above is None else Power(tree, above)

    def applied(self, name: str, arguments: tuple[Tree, ...], base: Tree | None) -> Tree:
        if name == "exp":
            return Power(EULER, arguments[0])
        if name == "log":
            return Call("log", (arguments[0], base or Number(Fraction(10))))
        return Call(name, arguments)

    def arguments(self, name: str) -> tuple[Tree, ...]:
        self.angular, before = self.angular or name in ANGULAR, self.angular
        try:
            if self.sign() in ("(", "[", "{", "\\{"):
                parts = split_at(self.enclosed(), (",", "，"))
                if len(parts) == 1 and len(parts[0]) > 2 and parts[0][0].text in ("(", "{"):
                    end = closing(parts[0], 0)
                    parts = split_at(parts[0][1:-1], (",", "，")) if end == len(parts[0]) - 1 else parts
                many = name in ("max", "min", "gcd", "lcm")
                if len(parts) > 1 and not many:
                    raise Unreadable(f"{name} of several things")
                return tuple(map(self.inside, parts))
            return (self.product(functions=False, division=name in ANGULAR),)
        finally:
            self.angular = before

    def limits(self) -> tuple[list[Token] | None, list[Token] | None]:
        below = above = None
        for _ in range(2):
            if self.sign() == "_" and below is None:
                self.at += 1
                below = self.argument_tokens(short=True)
            elif self.sign() == "^" and above is None:
                self.at += 1
                above = self.argument_tokens(short=True)
        return below, above

    def series(self, name: str) -> Tree:
        below, above = self.limits()
        if not below or not above or len(below) < 3 or below[1].text != "=" or below[0].kind != "word":
            raise Unreadable(f"{name} without its bounds")
        low, high = self.inside(below[2:]), self.inside(above)
        return self.bound(name, below[0].text, self.product(), (low, high))

    def bound(self, name: str, variable: str, body: Tree, bounds: tuple[Tree, ...]) -> Tree:
        """With the bound letter renamed, so that it is no letter of the answer and ``i`` no imaginary unit."""
        own = f"#{self.depth}"
        return Call(name, (substitute(body, variable, Symbol(own)), Symbol(own), *bounds))

    def integral(self) -> Tree:
        below, above = self.limits()
        if not below or not above:
            raise Unreadable("an integral without bounds")
        for place in range(self.at, len(self.tokens)):
            token = self.tokens[place]
            ahead = self.tokens[place + 1] if place + 1 < len(self.tokens) else None
            together = token.kind == "word" and len(token.text) > 1 and token.text[-2] == "d"
            apart = token.text == "d" and ahead is not None and ahead.kind == "word" and len(ahead.text) == 1
            if not together and not apart:
                continue
            variable = token.text[-1] if together or ahead is None else ahead.text
            rest = [replace(token, text=token.text[:-2])] if together and len(token.text) > 2 else []
            body = [*self.tokens[self.at : place], *rest]
            self.at = place + (1 if together else 2)
            low, high = self.inside(below), self.inside(above)
            return self.bound("int", variable, self.inside(body) if body else Number(Fraction(1)), (low, high))
        raise Unreadable("an integral over nothing")

    def limit(self) -> Tree:
        below, _ = self.limits()
        parts = split_at(below or [], ("->",))
        if len(parts) != 2 or len(parts[0]) != 1 or parts[0][0].kind != "word":
            raise Unreadable("a limit of nothing")
        point = self.inside(parts[1])
        return self.bound("lim", parts[0][0].text, self.product(), (point,))

    def determinant(self) -> Tree:
        """The determinant of a matrix in bars; any other matrix is no number."""
        kind = self.tokens[self.at].text
        rows, self.at = matrix_rows(self.tokens, self.at)
        if kind != "vmatrix" or len({len(row) for row in rows} | {len(rows)}) != 1 or len(rows) > 4:
            raise Unreadable("a matrix within an expression")
        return expand([[self.inside(cell) for cell in row] for row in rows])

    # Arguments

    def argument(self) -> Tree:
        return self.inside(self.argument_tokens())

    def argument_tokens(self, short: bool = False) -> list[Token]:
        r"""The tokens of an argument: a group, a bracket behind ``sqrt``, one digit of ``\frac12``, a letter, a command.

        Args:
            short: of an index or a bound, where several digits or letters without braces belong together.
        """
        token = self.next()
        if token.text in ("{", "(") and token.kind == "sign":
            self.at -= 1
            return self.enclosed()
        if token.kind in ("number", "word") and len(token.text) > 1 and not short:
            before = self.peek(-2)
            rooted = before is not None and before.text in ("sqrt", "cbrt", "√", "]")
            whole = (token.kind == "number" and rooted) or token.text in FUNCTIONS or token.text in NAMED
            name = before is not None and before.text in DECORATIONS
            if not whole and not name:
                return self.split_first(token)
        if token.kind == "command" and token.text in ("sqrt", "frac", *DECORATIONS):
            start = self.at - 1
            self.at = start
            self.command()
            return self.tokens[start : self.at]
        if token.kind == "sign" and token.text == "-" and short:
            return [token, *self.argument_tokens(short=True)]
        return [token]

    def split_first(self, token: Token) -> list[Token]:
        first, rest = replace(token, text=token.text[0]), replace(token, text=token.text[1:], gap="")
        self.tokens[self.at - 1 : self.at] = [first, rest]
        return [first]


CONSTRUCTS = {
    "frac": _Parser.fraction,
    "binom": _Parser.binomial,
    "sum": lambda parser: parser.series("sum"),
    "prod": lambda parser: parser.series("prod"),
    "int": _Parser.integral,
    "lim": _Parser.limit,
    "lfloor": lambda parser: parser.floor("floor", "rfloor"),
    "lceil": lambda parser: parser.floor("ceil", "rceil"),
}
COMMANDS = frozenset({*FUNCTIONS, *GREEK, *NAMED, *DECORATIONS, *CONSTRUCTS, *SIGNS, "sqrt", "mathbb", "emptyset", "ldots"})
"""The commands of TeX whose names are no words of a text."""


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
    return Fraction(mantissa.rstrip(".") or "0") * Fraction(10) ** int(exponent or 0)


def split_at(tokens: Sequence[Token], signs: Sequence[str]) -> list[list[Token]]:
    """Return the tokens in pieces, split at signs that stand outside all brackets."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        text = str(token)
        depth += (text in (*OPENING, "{")) + (token.kind == "begin")
        depth -= (text in (*CLOSING, "}")) + (token.kind == "end")
        if depth == 0 and token.kind == "sign" and text in signs:
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def matrix_rows(tokens: Sequence[Token], start: int) -> tuple[list[list[list[Token]]], int]:
    """Return the cells of the environment that begins at ``start``, row by row, and the place behind it.

    Raises:
        Unreadable: it does not end.
    """
    depth = 0
    for place in range(start, len(tokens)):
        depth += (tokens[place].kind == "begin") - (tokens[place].kind == "end")
        if depth == 0:
            rows = split_at(tokens[start + 1 : place], ("\\\\",))
            rows = rows[:-1] if len(rows) > 1 and not rows[-1] else rows
            return [split_at(row, ("&",)) for row in rows], place + 1
    raise Unreadable("an environment that does not end")


def expand(cells: list[list[Tree]]) -> Tree:
    """Return the determinant of a square matrix, by its first row."""
    if len(cells) == 1:
        return cells[0][0]
    terms: list[Tree] = []
    for place, cell in enumerate(cells[0]):
        minor = expand([row[:place] + row[place + 1 :] for row in cells[1:]])
        product = Product((cell, minor))
        terms.append(negative(product) if place % 2 else product)
    return Sum(tuple(terms))
