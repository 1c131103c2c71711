"""Exact values of trees of rational numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from dunwu.verifiers.arithmetic import MOST_BITS, count_bits
from dunwu.verifiers.math.tree import Call, Number, Power, Product, Sum, Symbol, Tree, list_children

LARGEST_FACTORIAL = 2_000


class Undefined(Exception):  # noqa: N818  -- a finding, not a failure
    """The tree has no value anywhere: a division by zero."""


@lru_cache(maxsize=4096)
def evaluate_exactly(tree: Tree) -> Fraction | None:
    """Return the exact value of a tree of rational numbers alone; None for any other, and for very large numbers.

    Raises:
        Undefined: It divides by zero.
    """
    match tree:
        case Number(number):
            return number
        case Symbol():
            return None
    parts = [evaluate_exactly(child) for child in list_children(tree)]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    match tree:
        case Sum():
            return _limit_size(sum(known, Fraction(0)))
        case Product():
            return _multiply(known)
        case Power():
            return _raise(*known)
        case Call(name, _):
            return _call(name, known)


def _limit_size(number: Fraction) -> Fraction | None:
    return number if count_bits(number) <= MOST_BITS else None


def _multiply(factors: list[Fraction]) -> Fraction | None:
    product: Fraction | None = Fraction(1)
    for factor in factors:
        product = None if product is None else _limit_size(product * factor)
    return product


def _raise(base: Fraction, exponent: Fraction) -> Fraction | None:
    if base == 0 and exponent < 0:
        raise Undefined
    if exponent.denominator != 1:
        return _take_root(base, exponent)
    if base in (0, 1, -1):
        return base ** (abs(int(exponent)) % 2 + (2 if exponent else 0))
    return base ** int(exponent) if abs(exponent) * count_bits(base) <= MOST_BITS else None


def _take_root(base: Fraction, exponent: Fraction) -> Fraction | None:
    """Raise to a fraction, where the power is rational: 8^(2/3), not 2^(1/2)."""
    index = exponent.denominator
    if index > 13 or (base < 0 and index % 2 == 0):
        return None
    roots = [_take_whole_root(abs(part), index) for part in (base.numerator, base.denominator)]
    if None in roots:
        return None
    found = Fraction(roots[0] or 0, roots[1] or 1)
    return _raise(-found if base < 0 else found, Fraction(exponent.numerator))


def _take_whole_root(number: int, index: int) -> int | None:
    low, high = 0, 1 << (number.bit_length() // index + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**index <= number else (low, middle - 1)
    return low if low**index == number else None


def _call(name: str, arguments: list[Fraction]) -> Fraction | None:
    whole = all(argument.denominator == 1 for argument in arguments)
    numbers = [int(argument) for argument in arguments]
    exact: dict[str, Callable[[], Fraction | int]] = {
        "abs": lambda: abs(arguments[0]),
        "floor": lambda: math.floor(arguments[0]),
        "ceil": lambda: math.ceil(arguments[0]),
        "max": lambda: max(arguments),
        "min": lambda: min(arguments),
    }
    if name in exact:
        return Fraction(exact[name]())
    if name in ("gcd", "lcm") and whole:
        return Fraction(math.gcd(*numbers) if name == "gcd" else math.lcm(*numbers))
    if name == "factorial" and whole and 0 <= numbers[0] <= LARGEST_FACTORIAL:
        return _limit_size(Fraction(math.factorial(numbers[0])))
    if name == "binom" and whole and 0 <= numbers[1] <= numbers[0] <= LARGEST_FACTORIAL:
        return Fraction(math.comb(*numbers))
    return None
