r"""What commands and named functions say: ``\frac``, ``\sqrt``, ``\sin``, ``\sum``, ``\int``, ``\lim``, determinants.

Each reader takes the parser where it stands behind the name, and leaves it behind what belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from dunwu.verifiers.math.brackets import Unreadable, find_closing, join_text, read_rows, split_at
from dunwu.verifiers.math.cursor import Parser
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import (
    EULER,
    MINUS_ONE,
    ONE,
    Call,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    Tree,
    divide,
    negate,
    substitute,
    take_root,
)

FUNCTION_NAMES = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "arcsin": "arcsin",
    "arccos": "arccos", "arctan": "arctan", "arccot": "arccot", "arcsec": "arcsec", "arccsc": "arccsc",
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "coth": "coth", "ln": "ln", "log": "log", "lg": "log", "exp": "exp", "max": "max", "min": "min", "gcd": "gcd",
    "lcm": "lcm", "abs": "abs", "floor": "floor", "ceil": "ceil", "sqrt": "sqrt", "cbrt": "cbrt", "det": "det",
}  # fmt: skip
"""Functions by the names under which they are written, with a backslash or without."""
ANGULAR = frozenset({"sin", "cos", "tan", "cot", "sec", "csc"})
OF_MANY = frozenset({"max", "min", "gcd", "lcm"})
DIFFERENTIAL = re.compile(r"(?:d|\\partial)(?:\^\d)?[a-zA-Z]?")
DIVISOR = re.compile(r"(?:(?:d|\\partial)[a-zA-Z](?:\^\d)?)+")
LARGEST_DETERMINANT = 4


def read_function(parser: Parser, name: str) -> Tree:
    r"""Read a function with its power, index and argument: ``\sin^2 x``, ``\log_2 5``, ``\max(a,b)``, ``\cos 3x``."""
    if name == "sqrt":
        return _read_square_root(parser)
    if name == "cbrt":
        return take_root(parser.read_argument(), Number(Fraction(3)))
    base, above = None, None
    token = parser.peek()
    joined = token is not None and token.kind == "number" and not token.spacing  # log2(3)
    if name == "log" and joined and parser.peek_sign(1) == "(":
        base = parser.read_inside([parser.take_token()])
    for _ in range(2):
        if base is None and name == "log" and parser.take("_"):
            base = parser.read_inside(_take_base(parser))
        elif above is None and parser.take("^"):
            above = parser.read_exponent()
    if above == MINUS_ONE:
        if name not in ANGULAR:
            raise Unreadable(f"the inverse of {name}")
        name, above = f"arc{name}", None
    arguments = _read_arguments(parser, name)
    if name == "exp":
        tree: Tree = Power(EULER, arguments[0])
    elif name == "log":
        tree = Call("log", (arguments[0], base or Number(Fraction(10))))
    else:
        tree = Call(name, arguments)
    return tree if above is None else Power(tree, above)


def _take_base(parser: Parser) -> list[Token]:
    r"""Take the base of a logarithm.

    Of ``\log_23`` it is 2, as TeX reads it, where nothing else is there to be taken of.
    """
    token, behind = parser.peek(), parser.peek(1)
    taken = behind is not None and (behind.kind != "sign" or behind.text in ("(", "{", "[", "|", "√"))
    if token and token.kind == "number" and len(token.text) > 1 and not taken:
        parser.tokens[parser.at : parser.at + 1] = [
            replace(token, text=token.text[0]),
            replace(token, text=token.text[1:], spacing="thin"),
        ]
    return parser.take_argument(short=True)


def _read_arguments(parser: Parser, name: str) -> tuple[Tree, ...]:
    """Read what a function is taken of: what stands in brackets, or a product without another function in it."""
    with parser.descend(angular=parser.angular or name in ANGULAR):
        if parser.peek_sign() not in ("(", "[", "{", "\\{"):
            return (parser.read_product(functions=False, division=name in ANGULAR),)
        parts = split_at(parser.take_bracket(), (",", "，"))
        twice = len(parts) == 1 and len(parts[0]) > 2 and parts[0][0].text in ("(", "{")
        if twice and find_closing(parts[0], 0) == len(parts[0]) - 1:  # \ln{(2)}, \max{(a,b)}
            parts = split_at(parts[0][1:-1], (",", "，"))
        if len(parts) > 1 and name not in OF_MANY:
            raise Unreadable(f"{name} of several things")
        return tuple(map(parser.read_inside, parts))


def _read_square_root(parser: Parser) -> Tree:
    index = parser.read_inside(parser.take_bracket()) if parser.peek_sign() == "[" else None
    return take_root(parser.read_argument(), index)


def _read_fraction(parser: Parser) -> Tree:
    r"""Read a quotient, or a derivative as it is written: ``\frac{dy}{dx}`` is a name."""
    above, below = parser.take_piece(), parser.take_piece()
    if isinstance(above, list) and isinstance(below, list):
        names = join_text(above), join_text(below)
        if names[0][:1] == names[1][:1] and DIFFERENTIAL.fullmatch(names[0]) and DIVISOR.fullmatch(names[1]):
            return Symbol("/".join(names))
    return divide(*(parser.read_inside(part) if isinstance(part, list) else part for part in (above, below)))


def _make_step_reader(name: str, opening: str, ending: str) -> Callable[[Parser], Tree]:
    r"""Return a reader of ``\lfloor x \rfloor``."""

    def read(parser: Parser) -> Tree:
        depth = 1
        for place in range(parser.at, len(parser.tokens)):
            text = parser.tokens[place].text
            depth += (text == opening) - (text == ending)
            if depth == 0:
                content, parser.at = parser.tokens[parser.at : place], place + 1
                return Call(name, (parser.read_inside(content),))
        raise Unreadable(f"{opening} is not closed")

    return read


def _take_bounds(parser: Parser) -> tuple[list[Token] | None, list[Token] | None]:
    below = above = None
    for _ in range(2):
        if below is None and parser.take("_"):
            below = parser.take_argument(short=True)
        elif above is None and parser.take("^"):
            above = parser.take_argument(short=True)
    return below, above


def _make_series_reader(name: str) -> Callable[[Parser], Tree]:
    r"""Return a reader of ``\sum_{n=1}^{9} n``."""

    def read(parser: Parser) -> Tree:
        below, above = _take_bounds(parser)
        if not below or not above or len(below) < 3 or below[1].text != "=" or below[0].kind != "word":
            raise Unreadable(f"{name} without its bounds")
        low, high = parser.read_inside(below[2:]), parser.read_inside(above)
        with parser.descend():
            return _bind(parser, name, below[0].text, parser.read_product(), (low, high))

    return read


def _bind(parser: Parser, name: str, variable: str, body: Tree, bounds: tuple[Tree, ...]) -> Tree:
    """Rename the bound letter, so that it is no letter of the answer and ``i`` no imaginary unit."""
    own = Symbol(f"#{parser.depth}")
    return Call(name, (substitute(body, variable, own), own, *bounds))


def _read_integral(parser: Parser) -> Tree:
    """Read a definite integral; what it is over may be written ``dx``, ``d x``, or run into the formula: ``2xdx``."""
    below, above = _take_bounds(parser)
    if not below or not above:
        raise Unreadable("an integral without bounds")
    for place in range(parser.at, len(parser.tokens)):
        token, behind = parser.tokens[place], parser.tokens[place + 1 : place + 2]
        together = token.kind == "word" and len(token.text) > 1 and token.text[-2] == "d"
        apart = token.text == "d" and bool(behind) and behind[0].kind == "word" and len(behind[0].text) == 1
        if not together and not apart:
            continue
        variable = token.text[-1] if together else behind[0].text
        rest = [replace(token, text=token.text[:-2])] if together and len(token.text) > 2 else []
        body = [*parser.tokens[parser.at : place], *rest]
        parser.at = place + (1 if together else 2)
        bounds = parser.read_inside(below), parser.read_inside(above)
        return _bind(parser, "int", variable, parser.read_inside(body) if body else ONE, bounds)
    raise Unreadable("an integral over nothing")


def _read_limit(parser: Parser) -> Tree:
    below, _ = _take_bounds(parser)
    parts = split_at(below or [], ("->",))
    if len(parts) != 2 or len(parts[0]) != 1 or parts[0][0].kind != "word":
        raise Unreadable("a limit of nothing")
    point = parser.read_inside(parts[1])
    with parser.descend():
        return _bind(parser, "lim", parts[0][0].text, parser.read_product(), (point,))


def read_determinant(parser: Parser) -> Tree:
    """Read the determinant of a matrix in bars, expanded; any other matrix is no number."""
    kind = parser.tokens[parser.at].text
    rows, parser.at = read_rows(parser.tokens, parser.at)
    square = len({len(row) for row in rows} | {len(rows)}) == 1
    if kind != "vmatrix" or not square or len(rows) > LARGEST_DETERMINANT:
        raise Unreadable("a matrix within an expression")
    return _expand([[parser.read_inside(cell) for cell in row] for row in rows])


def _expand(cells: list[list[Tree]]) -> Tree:
    """Expand the determinant of a square matrix, by its first row."""
    if len(cells) == 1:
        return cells[0][0]
    terms: list[Tree] = []
    for place, cell in enumerate(cells[0]):
        minor = _expand([row[:place] + row[place + 1 :] for row in cells[1:]])
        product = Product((cell, minor))
        terms.append(negate(product) if place % 2 else product)
    return Sum(tuple(terms))


CONSTRUCTS: Mapping[str, Callable[[Parser], Tree]] = {
    "frac": _read_fraction,
    "binom": lambda parser: Call("binom", (parser.read_argument(), parser.read_argument())),
    "sum": _make_series_reader("sum"),
    "prod": _make_series_reader("prod"),
    "int": _read_integral,
    "lim": _read_limit,
    "lfloor": _make_step_reader("floor", "lfloor", "rfloor"),
    "lceil": _make_step_reader("ceil", "lceil", "rceil"),
}
"""Readers by the commands that they read."""
