"""Lists and sets held against each other: in any order, by the names of their members, one assignment after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dunwu.verifiers.math.equations import split_rounds, strip_root_index
from dunwu.verifiers.math.records import Answer, Collection

Equal = Callable[[Answer, Answer], bool]


def same_lists(gold: Sequence[tuple[str, Answer]], answer: Sequence[tuple[str, Answer]], equal: Equal) -> bool:
    """Return whether two lists are one whose items may have names: x = 1, y = 2.

    Roots of one letter (x_1, x_2) have no order.

    Args:
        gold: Names and values of the right answer; a name may be "".
        answer: Those of what was answered.
        equal: Decides about two values.
    """
    if len(gold) != len(answer):
        return False
    names = [{name for name, _ in items} for items in (gold, answer)]
    values = [[value for _, value in items] for items in (gold, answer)]
    if names[0] == names[1] and len(names[0]) > 1 and "" not in names[0]:
        return _same_assignments(gold, answer, equal)
    bases = [{strip_root_index(name) for name in one} for one in names]
    if any(len(base) > 1 for base in bases):  # which is which is said by the answer alone
        return names[0] == {""} and "" not in names[1] and all(map(equal, *values))
    one_name = bases[0] == bases[1] or "" in (*bases[0], *bases[1])
    return one_name and match_members(values[0], values[1], equal)


def _same_assignments(gold: Sequence[tuple[str, Answer]], answer: Sequence[tuple[str, Answer]], equal: Equal) -> bool:
    """Compare values by their names. Where several names come again, each time they come belongs together."""
    repeated = [name for name in {name for name, _ in gold} if sum(name == other for other, _ in gold) > 1]
    if len(repeated) < 2:
        return all(
            match_members(_select_values(gold, name), _select_values(answer, name), equal)
            for name in {name for name, _ in gold}
        )
    rounds = [split_rounds(items) for items in (gold, answer)]
    left = list(rounds[1])
    for wanted in rounds[0]:
        found = next((one for one in left if _same_round(wanted, one, equal)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _select_values(named: Sequence[tuple[str, Answer]], name: str) -> list[Answer]:
    return [value for other, value in named if other == name]


def _same_round(wanted: dict[str, Answer], given: dict[str, Answer], equal: Equal) -> bool:
    return wanted.keys() == given.keys() and all(equal(wanted[name], given[name]) for name in wanted)


def match_members(gold: Sequence[Answer], answer: Sequence[Answer], equal: Equal) -> bool:
    """Return whether each item of the one is an item of the other, in any order.

    Args:
        gold: Members of the right answer.
        answer: Those of what was answered.
        equal: Decides about two members.
    """
    if len(gold) != len(answer):
        return False
    left = list(answer)
    for item in sorted(gold, key=lambda item: item not in left):  # what is the same needs no search
        place = left.index(item) if item in left else None
        if place is None:
            place = next((at for at, other in enumerate(left) if same_member(item, other, equal)), None)
        if place is None:
            return False
        left.pop(place)
    return True


def same_member(gold: Answer, answer: Answer, equal: Equal) -> bool:
    """Return whether two members are equal: in a set or tuple {1} is not 1.

    Args:
        gold: A member of the right answer.
        answer: One of what was answered.
        equal: Decides where both are sets, or neither is.
    """
    nested = [isinstance(one, Collection) and one.brackets == "{}" for one in (gold, answer)]
    return nested[0] == nested[1] and equal(gold, answer)


def remove_duplicates(members: Collection, equal: Equal) -> Collection:
    """Return a set without what it names again."""
    found: list[Answer] = []
    for item in members.items:
        if item not in found and not any(equal(one, item) for one in found):
            found.append(item)
    return Collection("{}", tuple(found))
