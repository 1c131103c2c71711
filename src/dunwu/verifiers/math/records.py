"""The types of mathematical answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from dunwu.verifiers.math.tokens import Token
from dunwu.verifiers.math.tree import Tree, find_letters, substitute
from dunwu.verifiers.math.units import Unit


@dataclass(frozen=True, slots=True)
class Words:
    """What is no mathematics that the grammar knows: words, and signs that equal themselves alone."""

    text: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression, with its unit if it has one.

    Attributes:
        tree: Its value; of ``5 m`` as a formula, that is 5 times m.
        unit: Its unit; None where it has none.
        weak: The value and the unit where the last letter may be a unit: 5 and metre.
        decimal: Whether it is written as a decimal, so that a rounded value can be meant.
        compound: Whether it has several units, biggest first: 5元6角.
    """

    tree: Tree
    unit: Unit | None = None
    weak: tuple[Tree, Unit] | None = None
    decimal: bool = False
    compound: bool = False


@dataclass(frozen=True, slots=True)
class Rounded:
    """What stands behind "≈"."""

    value: Answer


@dataclass(frozen=True, slots=True)
class Approximated:
    r"""An exact value, and a rounding of it that is right: ``\pi \approx 3.14``."""

    exact: Answer
    value: Quantity


@dataclass(frozen=True, slots=True)
class Ratio:
    """a:b, or more parts; ``clock`` has its numbers where it may be a time of the day."""

    parts: tuple[Tree, ...]
    clock: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Time:
    """A time of the day that says so, by a.m., p.m. or o'clock: hour, minute, second, and the half of the day."""

    clock: tuple[int, ...]
    half: Literal["", "am", "pm"] = ""


@dataclass(frozen=True, slots=True)
class Date:
    """A date; what is not said is None."""

    year: int | None
    month: int
    day: int


@dataclass(frozen=True, slots=True)
class Collection:
    r"""Things in a row: ``brackets`` is "()", "(]", "[]", ..., "{}" for a set and "" for a bare list."""

    brackets: str
    items: tuple[Answer, ...]

    @property
    def ordered(self) -> bool:
        """Whether the order counts: sets and bare lists have none."""
        return self.brackets not in ("", "{}")


@dataclass(frozen=True, slots=True)
class Region:
    """Sets of reals, combined: ``union``, ``intersection``, ``difference``, or ``reals``, which has no parts."""

    kind: Literal["union", "intersection", "difference", "reals"]
    parts: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of entries."""

    rows: tuple[tuple[Tree, ...], ...]


@dataclass(frozen=True, slots=True)
class Member:
    """One side of an equation.

    Attributes:
        text: How it is written, without what means nothing.
        answer: What it says.
        simple: Whether it is a name: a letter, ``f(2)``, ``angle ABC``, a word, ``(x,y)``.
    """

    text: str
    answer: Answer
    simple: bool


@dataclass(frozen=True, slots=True)
class Equation:
    """Members that are said to be equal: ``x = 5``, ``6 = 2 + 4``, ``2x + 4y - 3 = 0``."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Inequality:
    """Sides with a sign between each two: ``<``, ``<=``, ``>``, ``>=`` or ``!=``."""

    sides: tuple[Tree, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Congruence:
    """``name`` leaves ``residue`` modulo ``modulus``; the name is "" where only the residue is said."""

    name: str
    residue: Tree
    modulus: Tree


@dataclass(frozen=True, slots=True)
class Domain:
    """The whole numbers through which a letter runs: ``Z``, ``N``, ``N+``; "" where nothing is said of it."""

    letter: str
    kind: str


@dataclass(frozen=True, slots=True)
class Conditional:
    """A value, and what must hold for it: domains of letters, and inequalities."""

    value: Answer
    domains: tuple[Domain, ...] = ()
    others: tuple[Answer, ...] = ()


Answer: TypeAlias = (
    Words
    | Quantity
    | Rounded
    | Approximated
    | Ratio
    | Time
    | Date
    | Collection
    | Region
    | Matrix
    | Equation
    | Inequality
    | Congruence
    | Conditional
)
Read: TypeAlias = Callable[[Sequence[Token]], Answer]
"""Reads tokens as any of the types; given to the readers of what has other answers in it."""


def map_trees(answer: Answer, change: Callable[[Tree], Tree]) -> Answer:
    """Return ``answer`` with each of its trees changed; names and what has no letters stay."""
    match answer:
        case Quantity(tree):
            return replace(answer, tree=change(tree))
        case Collection(brackets, items):
            return Collection(brackets, tuple(map_trees(item, change) for item in items))
        case Region(kind, parts):
            return Region(kind, tuple(map_trees(part, change) for part in parts))
        case Matrix(rows):
            return Matrix(tuple(tuple(map(change, row)) for row in rows))
        case Equation(members):
            return Equation(tuple(replace(member, answer=map_trees(member.answer, change)) for member in members))
        case Inequality(sides, signs):
            return Inequality(tuple(map(change, sides)), signs)
        case Conditional(value, domains, others):
            return Conditional(map_trees(value, change), domains, tuple(map_trees(one, change) for one in others))
    return answer


def substitute_letter(answer: Answer, name: str, value: Tree) -> Answer:
    """Return ``answer`` with a letter replaced.

    Args:
        answer: Any answer.
        name: The letter.
        value: What stands in its place.
    """
    return map_trees(answer, lambda tree: substitute(tree, name, value))


def find_answer_letters(answer: Answer) -> set[str]:
    """Return the names of the letters in the trees of ``answer``."""
    found: set[str] = set()

    def note(tree: Tree) -> Tree:
        found.update(find_letters(tree))
        return tree

    map_trees(answer, note)
    return found
