"""What an equation says: a name and its value, values of several letters, or nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeGuard

from dunwu.verifiers.math.records import (
    Answer,
    Collection,
    Equation,
    Matrix,
    Member,
    Quantity,
    Ratio,
    Words,
    find_answer_letters,
    substitute_letter,
)
from dunwu.verifiers.math.tree import (
    EVALUABLE,
    Call,
    Number,
    Power,
    Product,
    Sum,
    Symbol,
    Tree,
    find_letters,
    list_children,
    negate,
)
from dunwu.verifiers.math.wording import is_spoilt

ROOTS = frozenset({"x", "y", "z", "t", "\\lambda", "\\theta", "r"})
"""Letters whose indices count the solutions of one equation; the indices of others name things."""


FUNCTION_OF_LETTER = re.compile(r"([a-zA-Z])\(([a-z])\)")
CALCULUS = re.compile(r"(?:\\int|\\sum|\\prod|\\frac ?d ?\w? ?d ?\w|d\w?/d\w).*")
"""What is differentiated or integrated, in front of what comes out."""
SEGMENT = re.compile(r"\|?(?:\\overline|\\bar)? ?\{?([A-Z]{2})\}?\|?")
DERIVATIVE = re.compile(r"\\frac ?d([a-z]) ?d([a-z])")
ANGLE = re.compile(r"\\angle ?([A-Za-z]{3})")
VALUED = re.compile(r"-?(?:\d|\\frac|\\sqrt)")
"""What begins so is a value, and no name."""
VARIANCE = Power(Symbol("sigma"), Number(Fraction(2)))
LETTER_ORDERS = ("xyzw", "abcdef", "mn", "pqrst", "uvw", "hk", "ABCD")
"""Letters that stand in this order in a tuple of their values."""


def read_solution(equation: Equation) -> tuple[str, list[Answer]] | None:
    """Return the name and the values of ``x = 5``, ``x = 2 + 3 = 5``, ``9 = x``; None where nothing is solved for."""
    members = equation.members
    last = members[-1].answer
    formula = isinstance(last, Quantity) and isinstance(last.tree, Product) and len(members[0].text) == 1  # F = ma
    if all(member.simple for member in members) and not (formula and len(members) == 2):  # AB = CD says no value
        return None
    if len(members) == 2 and _is_ratio_of_letters(members[0].answer):  # x:y = 2:3
        return members[0].text, [members[1].answer]
    for named, others in ((members[0], members[1:]), (members[-1], members[:-1])):
        if named.simple and not any(_contains_name(other, named) for other in others):
            own = [other for other in others if not (other.simple and len(others) > 1)]
            return _normalize_name(named.text), [member.answer for member in own or others]
    return None


def _normalize_name(name: str) -> str:
    r"""Return a name in one spelling: BA, |AB| and ``\overline{AB}`` are AB, ``\frac{dy}{dx}`` is y'."""
    segment, angle, derivative = (one.fullmatch(name) for one in (SEGMENT, ANGLE, DERIVATIVE))
    if derivative:
        return f"{derivative[1]}'" if derivative[2] == "x" else name
    if segment:
        return "".join(sorted(segment[1]))
    return f"\\angle{min(angle[1], angle[1][::-1])}" if angle else name


def _is_ratio_of_letters(answer: Answer) -> bool:
    return isinstance(answer, Ratio) and all(isinstance(part, Symbol) and find_letters(part) for part in answer.parts)


def _contains_name(member: Member, named: Member) -> bool:
    if not isinstance(member.answer, Quantity) or not isinstance(named.answer, Quantity):
        return member.text == named.text
    return bool(find_letters(named.answer.tree) & find_letters(member.answer.tree)) and isinstance(
        named.answer.tree, Symbol
    )


def same_function(gold: tuple[str, list[Answer]], answer: tuple[str, list[Answer]]) -> list[Answer] | None:
    """Return the values of ``answer`` in the letter of ``gold`` where their names say one thing; else None.

    f(x) is f(t) with another letter, it is y, and x(t) is x.
    """
    (name, _), (other, values) = gold, answer
    if name == other:
        return values
    called, given = FUNCTION_OF_LETTER.fullmatch(name), FUNCTION_OF_LETTER.fullmatch(other)
    if called and given:
        taken = any(called[2] in find_answer_letters(value) for value in values)
        same = called[1] == given[1] and not taken
        return [substitute_letter(value, given[2], Symbol(called[2])) for value in values] if same else None
    function, plain = (called, other) if called else (given, name)
    return values if function and plain in (function[1], "y" if function[1] in "fgh" else "") else None


def is_value(solved: tuple[str, list[Answer]] | None) -> bool:
    """Return whether an equation is solved, for a constant: x = 5, but not y = 2x."""
    if solved is None or re.fullmatch("[a-z]{2}", solved[0]):  # xy = 6 is solved for nothing
        return False
    return all(not isinstance(value, Quantity) or not find_letters(value.tree) for value in solved[1])


def is_label(member: Member, gold: Answer, constant: bool, place: int) -> bool:
    """Return whether a member of a chain says what has the value, and is not the value itself.

    Args:
        member: One side.
        gold: What is asked for.
        constant: Whether the gold is a constant other than 0, so that a formula with letters may be its name.
        place: Of the member in the chain.
    """
    if member.simple:
        return _may_name(member, gold)
    if isinstance(member.answer, Ratio) and any(map(find_letters, member.answer.parts)):
        return True
    if place == 0 and CALCULUS.fullmatch(member.text):  # one that can be worked out must have the value
        tree = member.answer.tree if isinstance(member.answer, Quantity) else None
        return tree is None or _calls_unknown(tree) or any(name[0] != "#" for name in find_letters(tree))
    if place == 0 and isinstance(gold, Matrix):
        return _names_a_matrix(member.answer)
    formula = isinstance(member.answer, Quantity) and _names_a_sum(member.answer.tree)
    unread = isinstance(member.answer, Words) and place == 0 and re.search(r"[^\W\d_]", member.text) is not None
    return constant and (formula or (unread and not VALUED.match(member.text) and not is_spoilt(member.text)))


def _may_name(member: Member, gold: Answer) -> bool:
    """Return whether a name may stand for the gold.

    Of x + 1 it may be f(x), but not f(y) and not x; of (2, 3) not (y, x).
    """
    own = (
        find_answer_letters(gold) if not isinstance(gold, Quantity) or gold.weak is None else find_letters(gold.weak[0])
    )
    match member.answer:
        case Quantity(Symbol(name)):
            return name not in own
        case Quantity(Call(_, arguments)) if own:
            return all(
                (isinstance(one, Symbol) and one.name in own) or not any(map(str.islower, find_letters(one)))
                for one in arguments
            )
        case Collection(_, items):
            names = "".join(
                item.tree.name for item in items if isinstance(item, Quantity) and _is_single_letter(item.tree)
            )
            orders = [order for order in LETTER_ORDERS if set(names) <= set(order)]
            in_order = not orders or any(list(names) == sorted(names, key=order.index) for order in orders)
            return in_order and isinstance(gold, (Collection, Matrix, Words))
    return True


def _is_single_letter(tree: Tree) -> TypeGuard[Symbol]:
    return isinstance(tree, Symbol) and len(tree.name) == 1


def _names_a_matrix(answer: Answer) -> bool:
    """Return whether this is what a matrix is called: A^{-1}, AB, a column of letters."""
    if isinstance(answer, Matrix):
        return all(_is_single_letter(cell) for row in answer.rows for cell in row)
    named = find_letters(answer.tree) if isinstance(answer, Quantity) else set()
    return bool(named) and all(name[:1].isupper() for name in named)


def is_step(equation: Equation, place: int) -> bool:
    """Return whether a member is a formula on the way from a name to its value: S = pi r^2 = 25 pi."""
    member = equation.members[place]
    inside = 0 < place < len(equation.members) - 1 and equation.members[0].simple
    return inside and isinstance(member.answer, Quantity) and bool(find_letters(member.answer.tree))


def _names_a_sum(tree: Tree) -> bool:
    """Return whether a formula names what is asked for (m+n, x^2+y^2, log_2 x), and is not to be solved (2x).

    A curve is none either: (x-1)^2 + y^2.
    """
    if _has_numbers_added(tree):
        return False
    if tree == VARIANCE:
        return True
    free = {name for name in find_letters(tree) if not name.startswith("#")}  # no bound letter of a sum
    if isinstance(tree, Call):
        return bool(free) or _calls_unknown(tree)
    return len(free) > 1 and not _has_coefficients(tree)


def _calls_unknown(tree: Tree) -> bool:
    unknown = isinstance(tree, Call) and tree.name not in EVALUABLE
    return unknown or any(map(_calls_unknown, list_children(tree)))


def _has_numbers_added(tree: Tree) -> bool:
    added = isinstance(tree, Sum) and any(isinstance(term, Number) for term in tree.terms)
    return added or any(map(_has_numbers_added, list_children(tree)))


def _has_coefficients(tree: Tree) -> bool:
    match tree:
        case Number(value):
            return abs(value) != 1
        case Power(base, Number()):
            return _has_coefficients(base)
    return any(map(_has_coefficients, list_children(tree)))


def subtract_sides(equation: Equation) -> Tree | None:
    """Return the left side less the right one; None where they are not two expressions."""
    sides = [member.answer.tree for member in equation.members if isinstance(member.answer, Quantity)]
    return Sum((sides[0], negate(sides[1]))) if len(sides) == len(equation.members) == 2 else None


def name_items(collection: Collection) -> list[tuple[str, Answer]]:
    """Return the items with their names; one without a name has that of the item before: x = 2, 144."""
    found: list[tuple[str, Answer]] = []
    for item in collection.items:
        solved = read_solution(item) if isinstance(item, Equation) else None
        if solved is not None and len(solved[1]) == 1:
            found.append((solved[0], solved[1][0]))
        else:
            found.append((found[-1][0] if found and not isinstance(item, Equation) else "", item))
    return found


def name_tuple(answer: Answer) -> list[tuple[str, Answer]]:
    """Return the pairs of (x,y) = (1,2), or of x = y = 2; none where it is no such equation."""
    if not isinstance(answer, Equation):
        return []
    *named, last = answer.members
    if len(named) > 1:
        alike = not last.simple and all(member.simple for member in named)
        return [(member.text, last.answer) for member in named] if alike else []
    names, values = (member.answer for member in answer.members)
    if not isinstance(names, Collection) or not isinstance(values, Collection):
        return []
    trees = [item.tree for item in names.items if isinstance(item, Quantity)]
    letters_of = [tree.name for tree in trees if isinstance(tree, Symbol)]
    alike = len(letters_of) == len(names.items) == len(values.items)
    return list(zip(letters_of, values.items, strict=True)) if alike else []


def to_tuples(answer: Collection, other: Collection) -> Collection:
    """Return x = 1, y = 2 as (1, 2) beside a tuple, and as a list of such beside a list of tuples."""
    named = name_items(answer)
    if answer.brackets or not all(
        name and isinstance(item, Equation) for (name, _), item in zip(named, answer.items, strict=True)
    ):
        return answer
    if other.brackets == "()":
        return to_tuple(dict(named)) or answer if len(dict(named)) == len(named) else answer
    if other.brackets == "" and all(isinstance(one, Collection) and one.brackets == "()" for one in other.items):
        tuples = [one for values in split_rounds(named) if (one := to_tuple(values))]
        return Collection("", tuple(tuples)) if len(tuples) == len(other.items) else answer
    return answer


def to_tuple(values: dict[str, Answer]) -> Collection | None:
    """Return the tuple that values are where everybody has their letters in one order; else None."""
    names = sorted(values)
    known = len(names) > 1 and set(map(len, names)) == {1} and any("".join(names) in order for order in LETTER_ORDERS)
    return Collection("()", tuple(values[name] for name in names)) if known else None


def strip_root_index(name: str) -> str:
    """Return the letter of which x_1 is a root; of any other name with an index, the name."""
    base, _, index = name.partition("_")
    return base if base in ROOTS and re.fullmatch(r"[\d,]*", index) else name


def split_rounds(items: Sequence[tuple[str, Answer]]) -> list[dict[str, Answer]]:
    """Return assignments one after the other: a new one begins where a name comes again."""
    rounds: list[dict[str, Answer]] = [{}]
    for name, value in items:
        if name in rounds[-1]:
            rounds.append({})
        rounds[-1][name] = value
    return rounds
