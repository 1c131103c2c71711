"""What an expression says, as a tree; made by ``grammar``, evaluated by ``field`` and by the worker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Number:
    """An exact rational number."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Symbol:
    """A letter, with its index and decoration if it has any (``x``, ``x_1``, ``f'``), or a constant (``pi``, ``e``)."""

    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of its terms."""

    terms: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """The product of its factors, in the order in which they stand."""

    factors: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """``base`` to the ``exponent``; a quotient is a product with the power -1."""

    base: Tree
    exponent: Tree


@dataclass(frozen=True, slots=True)
class Call:
    """A function of its arguments: one that ``EVALUABLE`` names, or one of which nothing but the name is known."""

    name: str
    arguments: tuple[Tree, ...]


Tree: TypeAlias = Number | Symbol | Sum | Product | Power | Call

PI, EULER, IMAGINARY, INFINITY = Symbol("pi"), Symbol("e"), Symbol("i"), Symbol("oo")
CONSTANTS = (PI, EULER, IMAGINARY, INFINITY)
ONE, MINUS_ONE, ZERO = Number(Fraction(1)), Number(Fraction(-1)), Number(Fraction(0))
HALF = Number(Fraction(1, 2))
EVALUABLE = frozenset(
    """
    sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth ln log exp abs floor ceil max
    min gcd lcm factorial binom sum prod int lim gamma det mod
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
"""What the worker can evaluate; any other function is a name, equal to itself alone."""


def negate(tree: Tree) -> Tree:
    """Return minus ``tree``."""
    return Number(-tree.value) if isinstance(tree, Number) else Product((MINUS_ONE, tree))


def divide(above: Tree, below: Tree) -> Tree:
    """Return ``above`` divided by ``below``, as a number where both are and it has a value."""
    if isinstance(above, Number) and isinstance(below, Number) and below.value:
        return Number(above.value / below.value)
    return Product((above, Power(below, MINUS_ONE)))


def take_root(tree: Tree, index: Tree | None = None) -> Tree:
    """Return the root of ``tree``, the square root where no index is given."""
    return Power(tree, HALF if index is None else divide(ONE, index))


def list_children(tree: Tree) -> tuple[Tree, ...]:
    """Return the trees of which ``tree`` is made."""
    match tree:
        case Sum(terms):
            return terms
        case Product(factors):
            return factors
        case Power(base, exponent):
            return base, exponent
        case Call(_, arguments):
            return arguments
    return ()


def find_letters(tree: Tree) -> set[str]:
    """Return the names of the symbols in ``tree`` that are no constants."""
    if isinstance(tree, Symbol):
        return set() if tree in CONSTANTS else {tree.name}
    return set().union(*map(find_letters, list_children(tree)))


def substitute(tree: Tree, name: str, value: Tree) -> Tree:
    """Return ``tree`` with a letter replaced.

    Args:
        tree: Any tree.
        name: The letter.
        value: What stands in its place.
    """
    match tree:
        case Symbol(other):
            return value if other == name else tree
        case Sum(terms):
            return Sum(tuple(substitute(term, name, value) for term in terms))
        case Product(factors):
            return Product(tuple(substitute(factor, name, value) for factor in factors))
        case Power(base, exponent):
            return Power(substitute(base, name, value), substitute(exponent, name, value))
        case Call(function, arguments):
            return Call(function, tuple(substitute(argument, name, value) for argument in arguments))
    return tree


def dump(tree: Tree) -> str:
    """Return ``tree`` as JSON for the worker: ``["sum", ["number", "1/2"], ["symbol", "x"]]``."""
    return json.dumps(_to_list(tree), separators=(",", ":"))


def _to_list(tree: Tree) -> list[Any]:
    match tree:
        case Number(value):
            return ["number", str(value)]
        case Symbol(name):
            return ["symbol", name]
        case Call(name, arguments):
            return ["call", name, *map(_to_list, arguments)]
    return [type(tree).__name__.lower(), *map(_to_list, list_children(tree))]
