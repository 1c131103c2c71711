r"""Sets of reals: intervals, single numbers, unions and the solutions of conditions in one letter, compared as sets.

Both sets are cut at all the numbers at which one of them begins or ends. They are equal if they agree at each of these
numbers and between each two of them. The numbers may be any constants; which is greater is decided by their decimals,
which are equal by ``same``.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from dunwu.verifiers.math.exact import evaluate_exactly
from dunwu.verifiers.math.records import Answer, Collection, Inequality, Quantity, Region
from dunwu.verifiers.math.tree import (
    CONSTANTS,
    EULER,
    IMAGINARY,
    INFINITY,
    PI,
    Call,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    Tree,
    find_letters,
    negate,
    substitute,
)

BOUND = "#x"
"""The letter of a set that a condition in braces tells: {x | x > 2}."""
Same = Callable[[Tree, Tree], bool]
CLOSE = 1e-9
"""Relative: nearer than that, two numbers are asked whether they are equal."""
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!=", "=": "="}
UNARY: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "ln": cmath.log, "arcsin": cmath.asin, "arccos": cmath.acos,
    "arctan": cmath.atan, "abs": abs,
}  # fmt: skip


class NoSet(Exception):  # noqa: N818  -- a finding, not a failure
    """The answer is no set of reals that can be compared here."""


@dataclass(frozen=True, slots=True)
class Piece:
    """All numbers between two ends; None is infinity."""

    low: Tree | None
    low_closed: bool
    high: Tree | None
    high_closed: bool


@dataclass(frozen=True, slots=True)
class Points:
    """Single numbers, or all but them."""

    numbers: tuple[Tree, ...]
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Combined:
    """A union, an intersection or a difference."""

    kind: str
    parts: tuple[RealSet, ...]


RealSet = Piece | Points | Combined
ALL = Piece(None, False, None, False)


def same_sets(left: Answer, right: Answer, same: Same) -> bool:
    """Return whether two answers are one set of reals.

    Args:
        left: The gold; |x - 5| < 2 is solved there alone.
        right: What was answered.
        same: Decides about two ends.

    Raises:
        NoSet: One of them is none, or its ends cannot be put in order.
    """
    sets = to_real_set(_open_bars(left)), to_real_set(right)
    if len((find_variables(left) | find_variables(right)) - {BOUND}) > 1:
        raise NoSet
    ends = _order([end for one in sets for end in _list_ends(one)], same)
    places = range(2 * len(ends) + 1)  # even: between two ends; odd: at one
    inside = [[_contains(one, place, ends, same) for place in places] for one in sets]
    return inside[0] == inside[1] and any(inside[0])  # whoever means the empty set says so


def find_variables(answer: Answer) -> set[str]:
    """Return the letters of which an answer's conditions speak."""
    match answer:
        case Inequality(sides, _):
            return set().union(*map(find_letters, sides))
        case Region(_, parts) | Collection("", parts):
            return set().union(*map(find_variables, parts)) if parts else set()
    return set()


def to_real_set(answer: Answer) -> RealSet:
    """Return the set of reals that an answer is.

    Raises:
        NoSet: It is none.
    """
    match answer:
        case Region("reals", _):
            return ALL
        case Region(kind, parts):
            return Combined(kind, tuple(map(to_real_set, parts)))
        case Inequality():
            return _solve(answer)
        case Collection("", items) if all(map(_is_interval, items)):
            return Combined("union", tuple(map(to_real_set, items)))
        case Collection("", (Inequality(), *_) as items):
            return _join_conditions(items)
        case Collection("{}", items):
            return Points(tuple(_to_number(item) for item in items))
        case Collection(brackets, (low, high)) if brackets in ("()", "(]", "[)", "[]"):
            below, above = _to_number(low), _to_number(high)
            ends = None if below == negate(INFINITY) else below, None if above == INFINITY else above
            if ends[0] is not None and ends[1] is not None and approximate(ends[0]) >= approximate(ends[1]):
                raise NoSet  # a point
            return Piece(ends[0], brackets[0] == "[", ends[1], brackets[1] == "]")
    raise NoSet


def _open_bars(answer: Answer) -> Answer:
    """Solve |x - 5| < 2 as 3 < x < 7; return any other answer as it is."""
    if not isinstance(answer, Inequality) or len(answer.signs) != 1:
        return answer
    (left, right), (sign,) = answer.sides, answer.signs
    names = list(find_letters(left))
    if not isinstance(left, Call) or left.name != "abs" or not isinstance(right, Number) or len(names) != 1:
        return answer
    at = [evaluate_exactly(substitute(left.arguments[0], names[0], Number(Fraction(place)))) for place in (0, 1, 2)]
    if None in at or at[1] == at[0] or at[2] - at[1] != at[1] - at[0] or right.value <= 0:  # type: ignore[operator]
        return answer
    start, slope = at[0], at[1] - at[0]  # type: ignore[operator]
    low, high = sorted((bound - start) / slope for bound in (-right.value, right.value))  # type: ignore[operator]
    letter = Symbol(names[0])
    if sign.startswith("<"):
        return Inequality((Number(low), letter, Number(high)), (sign, sign))
    halves = Inequality((letter, Number(low)), (MIRRORED[sign],)), Inequality((letter, Number(high)), (sign,))
    return answer if sign == "!=" else Region("union", halves)


def _join_conditions(items: tuple[Answer, ...]) -> RealSet:
    """Join conditions with commas between.

    x > 1, x < 3 is "and"; x < 1, x > 3 is "or"; x != 1, 2 is neither of them.
    """
    parts: list[RealSet] = []
    for item in items:
        found = _solve(item) if isinstance(item, Inequality) else None
        if found is None and parts and isinstance(parts[-1], Points):
            found = Points((_to_number(item),), left_out=True)
        if found is None:
            raise NoSet
        parts.append(found)
    halves = [part for part in parts if isinstance(part, Piece)]
    if len(halves) < 2:
        return Combined("intersection", tuple(parts))
    low, high = (next((one for one in (half.low, half.high) if one is not None), None) for half in halves[:2])
    if len(halves) > 2 or low is None or high is None or (halves[0].low is None) == (halves[1].low is None):
        raise NoSet
    if halves[0].low is None:
        low, high = high, low
    within = approximate(low) < approximate(high)
    if not within and len(parts) > 2:
        raise NoSet
    return Combined("intersection" if within else "union", tuple(parts))


def _is_interval(answer: Answer) -> bool:
    """Return whether a member of a list can be no point: half open, or without an end."""
    if not isinstance(answer, Collection) or len(answer.items) != 2 or not answer.ordered:
        return False
    ends = [item.tree for item in answer.items if isinstance(item, Quantity)]
    return answer.brackets != "()" or INFINITY in ends or negate(INFINITY) in ends


def _to_number(answer: Answer) -> Tree:
    if not isinstance(answer, Quantity) or answer.unit or find_letters(answer.tree):
        raise NoSet
    return answer.tree


def _solve(condition: Inequality) -> RealSet:
    """Solve x < 2, 1 < x <= 2, x != 3: a letter alone, and numbers beside it."""
    pieces: list[RealSet] = []
    for left, right, sign in zip(condition.sides, condition.sides[1:], condition.signs, strict=False):
        if not isinstance(left, Symbol) or left in CONSTANTS:
            left, right, sign = right, left, MIRRORED[sign]
        if not isinstance(left, Symbol) or left in CONSTANTS or find_letters(right):
            raise NoSet
        closed = sign.endswith("=") and sign != "!="
        bound = None if right in (INFINITY, negate(INFINITY)) else right
        if sign == "!=":
            pieces.append(Points((right,), left_out=True))
        elif sign.startswith("<"):
            pieces.append(Piece(None, False, bound, closed))
        else:
            pieces.append(Piece(bound, closed, None, False))
    return pieces[0] if len(pieces) == 1 else Combined("intersection", tuple(pieces))


def _list_ends(one: RealSet) -> Iterator[Tree]:
    match one:
        case Piece(low, _, high, _):
            yield from (end for end in (low, high) if end is not None)
        case Points(numbers, _):
            yield from numbers
        case Combined(_, parts):
            for part in parts:
                yield from _list_ends(part)


def _order(ends: list[Tree], same: Same) -> list[tuple[float, Tree]]:
    """Put the different ends in order."""
    found: list[tuple[float, Tree]] = []
    for value, tree in sorted(((approximate(tree), tree) for tree in ends), key=lambda pair: pair[0]):
        if not found or not _is_same_end(value, tree, *found[-1], same):
            found.append((value, tree))
    return found


def _is_same_end(value: float, tree: Tree, other: float, other_tree: Tree, same: Same) -> bool:
    close = abs(value - other) <= CLOSE * max(1.0, abs(value), abs(other))
    return close and (tree == other_tree or same(tree, other_tree))


def _find_place(tree: Tree, ends: list[tuple[float, Tree]], same: Same) -> int:
    value = approximate(tree)
    return 1 + 2 * next(at for at, (other, end) in enumerate(ends) if _is_same_end(value, tree, other, end, same))


def _contains(one: RealSet, place: int, ends: list[tuple[float, Tree]], same: Same) -> bool:
    match one:
        case Piece(low, low_closed, high, high_closed):
            first = -1 if low is None else _find_place(low, ends, same)
            last = 2 * len(ends) + 1 if high is None else _find_place(high, ends, same)
            inside = first < place < last
            return (
                inside
                or (first == last == place and low_closed and high_closed)
                or (first < last and ((place == first and low_closed) or (place == last and high_closed)))
            )
        case Points(numbers, left_out):
            return left_out != any(place == _find_place(number, ends, same) for number in numbers)
        case Combined(kind, parts):
            within = [_contains(part, place, ends, same) for part in parts]
            if kind == "union":
                return any(within)
            return all(within) if kind == "intersection" else within[0] and not any(within[1:])


def approximate(tree: Tree) -> float:
    """Return the value of a constant to some fifteen digits.

    Raises:
        NoSet: It has none, or is not real.
    """
    try:
        value = _approximate(tree)
    except (ArithmeticError, ValueError, KeyError):
        raise NoSet from None
    if abs(value.imag) > CLOSE * max(1.0, abs(value.real)) or not math.isfinite(value.real):
        raise NoSet
    return value.real


def _approximate(tree: Tree) -> complex:
    match tree:
        case Number(value):
            return complex(float(value))
        case Symbol():
            return {PI: complex(math.pi), EULER: complex(math.e), IMAGINARY: 1j}[tree]
        case Sum(terms):
            return sum(map(_approximate, terms))
        case Product(factors):
            return math.prod(map(_approximate, factors))
        case Power(base, exponent):
            return _approximate(base) ** _approximate(exponent)
        case Call("log", (argument, base)):
            return cmath.log(_approximate(argument)) / cmath.log(_approximate(base))
        case Call(name, (argument,)):
            return complex(UNARY[name](_approximate(argument)))
    raise NoSet
