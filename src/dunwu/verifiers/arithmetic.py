"""Arithmetic read by an own parser into exact fractions; nothing is ever evaluated as code.

sum     = product (("+" | "-") product)*
product = unary (("*" | "/") unary)*
unary   = "-" unary | power
power   = atom ("^" unary)?                 only where powers are allowed
atom    = integer | decimal | "(" sum ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

LONGEST_EXPRESSION = 1000
"""Characters."""
DEEPEST_EXPRESSION = 60
"""Parentheses and signs inside one another."""
MOST_BITS = 12_000
"""Bits of a numerator or denominator, along the way too: a value stays below the 4,300 digits that Python writes."""

TOKEN = re.compile(r"\s*(\d+\.\d*|\.\d+|\d+|[-+*/^()])", re.ASCII)


class NotArithmetic(ValueError):  # noqa: N818  -- a finding, not a failure
    """The text is no arithmetic, or has no value; the message says why."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The exact value of an expression and the number literals that stand in it, from left to right."""

    value: Fraction
    numbers: tuple[Fraction, ...]


def evaluate(text: str, *, powers: bool = False, reading: Callable[[Fraction], Fraction] | None = None) -> Arithmetic:
    """Evaluate arithmetic exactly.

    Args:
        text: All of it must be one expression.
        powers: Whether ``^`` may stand in it.
        reading: What stands for a number that is written; None: itself.

    Raises:
        NotArithmetic: Anything outside the grammar, longer than ``LONGEST_EXPRESSION``, or deeper than
            ``DEEPEST_EXPRESSION``; a division by zero; a power that is not whole; a value of more than ``MOST_BITS``
            bits.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise NotArithmetic(f"longer than {LONGEST_EXPRESSION} characters")
    parser = _Parser(_tokenize(text), powers, reading)
    value = parser.read_sum()
    if parser.position < len(parser.tokens):
        raise NotArithmetic(f"unexpected {parser.tokens[parser.position]!r}")
    return Arithmetic(value, tuple(parser.numbers))


def _tokenize(text: str) -> list[str]:
    tokens, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise NotArithmetic(f"unexpected {text[position:].lstrip()[:1]!r}")
        tokens.append(match[1])
        position = match.end()
    return tokens


class _Parser:
    """Reads arithmetic by the module's grammar, one method a rule."""

    def __init__(self, tokens: list[str], powers: bool, reading: Callable[[Fraction], Fraction] | None) -> None:
        self.tokens = tokens
        self.powers = powers
        self.reading = reading
        self.position = 0
        self.depth = 0
        self.numbers: list[Fraction] = []

    def take(self, *wanted: str) -> str | None:
        if self.position < len(self.tokens) and self.tokens[self.position] in wanted:
            self.position += 1
            return self.tokens[self.position - 1]
        return None

    def read_sum(self) -> Fraction:
        value = self.read_product()
        while sign := self.take("+", "-"):
            term = self.read_product()
            value = _check_size(value + term if sign == "+" else value - term)
        return value

    def read_product(self) -> Fraction:
        value = self.read_unary()
        while sign := self.take("*", "/"):
            factor = self.read_unary()
            if sign == "/" and not factor:
                raise NotArithmetic("division by zero")
            value = _check_size(value * factor if sign == "*" else value / factor)
        return value

    def read_unary(self) -> Fraction:
        self.depth += 1
        if self.depth > DEEPEST_EXPRESSION:
            raise NotArithmetic(f"deeper than {DEEPEST_EXPRESSION} levels")
        value = -self.read_unary() if self.take("-") else self.read_power()
        self.depth -= 1
        return value

    def read_power(self) -> Fraction:
        base = self.read_atom()
        if not self.powers or not self.take("^"):
            return base
        exponent = self.read_unary()
        if exponent.denominator != 1 or abs(exponent) * count_bits(base) > MOST_BITS or (exponent < 0 and not base):
            raise NotArithmetic("a power that has no exact value here")
        return base ** int(exponent)

    def read_atom(self) -> Fraction:
        if self.take("("):
            value = self.read_sum()
            if not self.take(")"):
                raise NotArithmetic("a parenthesis is not closed")
            return value
        if self.position == len(self.tokens):
            raise NotArithmetic("it ends too early")
        token = self.tokens[self.position]
        if token in "-+*/^()":
            raise NotArithmetic(f"unexpected {token!r}")
        self.position += 1
        self.numbers.append(Fraction(token))
        return self.reading(self.numbers[-1]) if self.reading else self.numbers[-1]


def count_bits(value: Fraction) -> int:
    """Return the bits of the numerator or the denominator, whichever has more."""
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _check_size(value: Fraction) -> Fraction:
    """Return the value where it is small enough.

    Sums of short fractions can have denominators of any length: what grows is refused before it costs seconds.
    """
    if count_bits(value) > MOST_BITS:
        raise NotArithmetic(f"a value of more than {MOST_BITS} bits")
    return value
