"""What an equation says: a name and its value, values of several letters, or nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dunwu.verifiers.math.records import Answer, Collection, Equation, Member, Quantity, Ratio, Words
from dunwu.verifiers.math.tree import Call, Number, Power, Sum, Symbol, Tree, children, letters, negative

ROOTS = frozenset({"x", "y", "z", "t", "\\lambda", "\\theta", "r"})
"""Letters whose indices count the solutions of one equation; the indices of others name things."""


def solution(equation: Equation) -> tuple[str, list[Answer]] | None:
    """Return the name and the values of ``x = 5``, ``x = 2 + 3 = 5``, ``9 = x``; None where nothing is solved for."""
    members = equation.members
    if all(member.simple for member in members):  # AB = CD is solved for nothing
        return None
    for named, others in ((members[0], members[1:]), (members[-1], members[:-1])):
        if named.simple and not any(_contains(other, named) for other in others):
            own = [other for other in others if not (other.simple and len(others) > 1)]
            return named.text, [member.answer for member in own or others]
    return None


def _contains(member: Member, named: Member) -> bool:
    if not isinstance(member.answer, Quantity) or not isinstance(named.answer, Quantity):
        return member.text == named.text
    return bool(letters(named.answer.tree) & letters(member.answer.tree)) and isinstance(named.answer.tree, Symbol)


def is_value(solved: tuple[str, list[Answer]] | None) -> bool:
    """Return whether an equation is solved, for a constant: x = 5, but not y = 2x."""
    if solved is None:
        return False
    return all(not isinstance(value, Quantity) or not letters(value.tree) for value in solved[1])


def is_label(member: Member, constant: bool, place: int) -> bool:
    """Return whether a member of a chain says what has the value, and is not the value itself.

    Args:
        member: one side.
        constant: whether the gold is a constant other than 0, so that a formula with letters may be its name.
        place: of the member in the chain.
    """
    if member.simple or (isinstance(member.answer, Ratio) and any(map(letters, member.answer.parts))):
        return True
    formula = isinstance(member.answer, Quantity) and _names_a_sum(member.answer.tree)
    unread = isinstance(member.answer, Words) and place == 0 and re.search(r"[^\W\d_]", member.text) is not None
    return constant and (formula or unread)


def _names_a_sum(tree: Tree) -> bool:
    """Whether a formula names what is asked for (m+n, x^2+y^2, x/y, log_2 x) and is no equation to be solved (2x)."""
    if isinstance(tree, Call):
        return bool(letters(tree))
    return len(letters(tree)) > 1 and not _has_coefficients(tree)


def _has_coefficients(tree: Tree) -> bool:
    match tree:
        case Number(value):
            return abs(value) != 1
        case Power(base, Number()):
            return _has_coefficients(base)
    return any(map(_has_coefficients, children(tree)))


def difference(equation: Equation) -> Tree | None:
    """Return the left side less the right one; None where they are not two expressions."""
    sides = [member.answer.tree for member in equation.members if isinstance(member.answer, Quantity)]
    return Sum((sides[0], negative(sides[1]))) if len(sides) == len(equation.members) == 2 else None


def named_items(collection: Collection) -> list[tuple[str, Answer]]:
    """Return the items with their names; one without a name has that of the item before: x = 2, 144."""
    found: list[tuple[str, Answer]] = []
    for item in collection.items:
        solved = solution(item) if isinstance(item, Equation) else None
        if solved is not None and len(solved[1]) == 1:
            found.append((solved[0], solved[1][0]))
        else:
            found.append((found[-1][0] if found and not isinstance(item, Equation) else "", item))
    return found


def named_tuple(answer: Answer) -> list[tuple[str, Answer]]:
    """Return the pairs of (x,y) = (1,2); none where it is no such equation."""
    if not isinstance(answer, Equation) or len(answer.members) != 2:
        return []
    names, values = (member.answer for member in answer.members)
    if not isinstance(names, Collection) or not isinstance(values, Collection):
        return []
    trees = [item.tree for item in names.items if isinstance(item, Quantity)]
    letters_of = [tree.name for tree in trees if isinstance(tree, Symbol)]
    alike = len(letters_of) == len(names.items) == len(values.items)
    return list(zip(letters_of, values.items, strict=True)) if alike else []


def root_of(name: str) -> str:
    """Return the letter of which x_1 is a root; of any other name with an index, the name."""
    base, _, index = name.partition("_")
    return base if base in ROOTS and re.fullmatch(r"[\d,]*", index) else name


def rounds_of(items: Sequence[tuple[str, Answer]]) -> list[dict[str, Answer]]:
    """Return assignments one after the other: a new one begins where a name comes again."""
    rounds: list[dict[str, Answer]] = [{}]
    for name, value in items:
        if name in rounds[-1]:
            rounds.append({})
        rounds[-1][name] = value
    return rounds
