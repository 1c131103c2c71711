r"""Numbers as they are written in digits: decimals, mixed numbers, recurring decimals, scientific notation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from dunwu.verifiers.math.brackets import Unreadable, join_text
from dunwu.verifiers.math.cursor import Parser
from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import Call, Number, Product, Tree

PERIOD = re.compile(r"\.\d*?(\d)\1\1$")
LONG_PERIOD = re.compile(r"\.\d*?(\d{2,}?)\1$")
LARGEST_EXPONENT = 400
"""Decimal places that a number in scientific notation may have."""


def read_number(parser: Parser) -> Tree:
    """Read a number with its recurring digits, or with the fraction of a mixed number behind it."""
    token = parser.take_token()
    following = parser.peek()
    if following and following.kind == "command" and following.text in ("overline", "bar", "dot"):
        return Number(_read_recurring(parser, token.text))
    if following and following.text == "ldots" and (period := _find_period(token.text)):
        parser.take_token()
        return Number(_repeat(token.text[: -len(period)], period))
    behind = parser.peek(1)
    if following and behind and following.text in ("C", "P") and behind.text.isdigit() and not behind.spacing:
        return _read_counted(parser, read_value(token))
    return Number(read_value(token) + (_read_mixed_part(parser) or 0))


def _read_counted(parser: Parser, n: Fraction) -> Tree:
    """Read ``5C2`` or ``5P2``, behind the 5."""
    name, k = parser.take_token().text, Number(read_value(parser.take_token()))
    chosen = Call("binom", (Number(n), k))
    return chosen if name == "C" else Product((chosen, Call("factorial", (k,))))


def _read_mixed_part(parser: Parser) -> Fraction | None:
    r"""Read the fraction of a mixed number, ``\frac{1}{2}`` behind 3, or 1/2 with a space between; else None."""
    start, token = parser.at, parser.peek()
    pieces: list[Token] = []
    if token and token.kind == "command" and token.text == "frac":
        parser.at += 1
        for part in (parser.take_piece(), parser.take_piece()):
            pieces += part if isinstance(part, list) and len(part) == 1 else []
    elif token and token.kind == "number" and token.spacing and parser.peek_sign(1) == "/":
        pieces = [token, *parser.tokens[parser.at + 2 : parser.at + 3]]
        parser.at += 3
    if len(pieces) == 2 and all(piece.kind == "number" and piece.text.isdigit() for piece in pieces):
        above, below = (int(piece.text) for piece in pieces)
        if above < below:
            return Fraction(above, below)
        raise Unreadable("a mixed number with an improper fraction")
    parser.at = start
    return None


def _read_recurring(parser: Parser, text: str) -> Fraction:
    r"""Read the digits that recur: 0.1\overline{6}, 0.1\dot{6} and 0.\dot{1}4\dot{2} are (16 - 1)/90 and the like."""
    dotted = parser.take_token().text == "dot"
    period = join_text(parser.take_argument())
    if dotted and (between := parser.peek()) and between.kind in ("number", "command"):
        period += parser.take_token().text if between.kind == "number" else ""
        if parser.take_token().text != "dot":
            raise Unreadable("a recurring decimal whose period does not end")
        period += join_text(parser.take_argument())
    if "." not in text or not period.isascii() or not period.isdigit():
        raise Unreadable("a line above what is no period")
    return _repeat(text, period)


def _find_period(text: str) -> str:
    """Find the digits that come again and again at the end of 0.1666 and 0.1212; "" where none do."""
    match = PERIOD.search(text) or LONG_PERIOD.search(text)
    return match[1] if match else ""


def recurs(tokens: Sequence[Token]) -> bool:
    """Return whether the dots at the end go on with digits that came again before: 0.333..."""
    return len(tokens) > 1 and tokens[-2].kind == "number" and bool(_find_period(tokens[-2].text))


def _repeat(text: str, period: str) -> Fraction:
    """Return the value of ``text`` with the period behind it for ever."""
    whole, _, fixed = text.partition(".")
    shifted, start = int(whole + fixed + period), int(whole + fixed or "0")
    return Fraction(shifted - start, 10 ** (len(fixed) + len(period)) - 10 ** len(fixed))


def read_value(token: Token) -> Fraction:
    """Return the value of a number's digits, exact.

    Raises:
        Unreadable: It is in scientific notation and absurdly large or small.
    """
    mantissa, _, exponent = token.text.partition("e")
    if exponent and abs(int(exponent)) > LARGEST_EXPONENT:
        raise Unreadable("a number of that many places")
    value = Fraction(mantissa.rstrip(".") or "0")
    return value * Fraction(10) ** int(exponent) if exponent else value
