"""Whether two typed answers are equal (docs/reference/answers.md).

Types that differ are unequal, but for what ``_same_across_types`` lists. What is constant, polynomial or made of roots
is decided here (``field``); ``ask`` is called about the rest, piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from dunwu.verifiers.math import field
from dunwu.verifiers.math.conditions import same_conditional
from dunwu.verifiers.math.constants import rename_constants
from dunwu.verifiers.math.dates import looks_like_a_time, same_time
from dunwu.verifiers.math.equations import (
    is_label,
    is_step,
    is_value,
    name_items,
    name_tuple,
    read_solution,
    same_function,
    subtract_sides,
    to_tuple,
    to_tuples,
)
from dunwu.verifiers.math.exact import evaluate_exactly
from dunwu.verifiers.math.field import Undecided
from dunwu.verifiers.math.matching import match_members, remove_duplicates, same_lists, same_member
from dunwu.verifiers.math.quantities import align_units, is_written, may_be_missing, same_measure
from dunwu.verifiers.math.real_sets import NoSet, same_sets
from dunwu.verifiers.math.records import (
    Answer,
    Approximated,
    Collection,
    Conditional,
    Congruence,
    Date,
    Equation,
    Inequality,
    Matrix,
    Quantity,
    Ratio,
    Region,
    Rounded,
    Time,
    Words,
)
from dunwu.verifiers.math.sets import list_conditions
from dunwu.verifiers.math.tree import INFINITY, Number, Sum, Symbol, Tree, divide, dump, find_letters, negate
from dunwu.verifiers.math.units import PERCENT

Ask = Callable[[str, str], bool]
"""Decides about two trees, or two relations, as ``dump`` and ``dump_relation`` write them."""

MOST_PIECES = 2000
"""Pieces of two answers held against each other; lists of lists can have a million."""
HUNDRED = Number(Fraction(100))
MIRRORED_GREATER = {">": "<", ">=": "<="}


@dataclass
class AnswerComparison:
    """One comparison of two answers.

    Attributes:
        ask: Decides what cannot be decided here.
        steps: How many pieces may still be looked at.
    """

    ask: Ask
    steps: int = MOST_PIECES

    def is_equal(self, gold: Answer, answer: Answer) -> bool:
        """Return whether ``answer`` means ``gold``. Raises whatever ``ask`` raises."""
        self.steps -= 1
        if self.steps < 0 or Words("") in (gold, answer):
            return False
        if gold == answer:
            return True
        if isinstance(gold, Conditional) or isinstance(answer, Conditional):
            return same_conditional(gold, answer, self.is_equal)
        if isinstance(gold, Approximated):
            return self.is_equal(gold.exact, answer) or self.is_equal(gold.value, answer)
        if isinstance(answer, Approximated):
            return self.is_equal(gold, answer.exact) or self.is_equal(gold, Rounded(answer.value))
        if isinstance(gold, Equation) or isinstance(answer, Equation):
            return self._same_equations(gold, answer)
        if type(gold) is type(answer):
            return self._same_of_one_type(gold, answer)
        return self._same_across_types(gold, answer)

    def same(self, left: Tree, right: Tree) -> bool:
        """Return whether two trees have one value."""
        return self._same(left, right) or any(self._same(left, other) for other in rename_constants(left, right))

    def _same(self, left: Tree, right: Tree) -> bool:
        infinite = (INFINITY, negate(INFINITY))
        if left == right:
            return True
        if left in infinite or right in infinite:
            return False
        try:
            return field.same_value(left, right)
        except Undecided:
            return self.ask(dump(left), dump(right))

    # One type

    def _same_of_one_type(self, gold: Answer, answer: Answer) -> bool:
        match gold, answer:
            case Quantity(), Quantity():
                return self._same_quantities(gold, answer)
            case Collection(), Collection():
                return self._same_collections(gold, answer)
            case Matrix(rows), Matrix(others):
                shapes = [[len(row) for row in one] for one in (rows, others)]
                cells = [[cell for row in one for cell in row] for one in (rows, others)]
                return shapes[0] == shapes[1] and all(map(self.same, *cells))
            case Ratio(), Ratio():
                return self._same_ratios(gold, answer)
            case Time(), Time():
                return same_time(gold, answer)
            case Date(year, month, day), Date(other, other_month, other_day):
                return (month, day) == (other_month, other_day) and year in (None, other)
            case Congruence(), Congruence():
                return self._same_congruences(gold, answer)
            case Rounded(value), Rounded(other_value):
                return self.is_equal(value, other_value)
            case Inequality(), Inequality():
                return self._same_inequalities(gold, answer)
            case Region(), Region():
                return self._same_regions(gold, answer)
        return False

    def _same_across_types(self, gold: Answer, answer: Answer) -> bool:
        """Compare the pairs of types that may be equal all the same."""
        match gold, answer:
            case (Quantity() as one, Rounded(Quantity() as other)) | (Rounded(Quantity() as one), Quantity() as other):
                return is_written(one) and is_written(other) and self.is_equal(one, other)
            case Region("reals", _), Quantity(Symbol("R"), None):
                return True
            case Words(numbers), Quantity(Symbol(letter), None):
                return numbers == f"\\mathbb{letter}"
            case (Quantity(tree, None), Ratio(parts, None)) | (Ratio(parts, None), Quantity(tree, None)):
                return len(parts) == 2 and self.same(tree, divide(*parts))
            case Quantity(tree, None), Congruence(name, residue, modulus):
                left = Congruence("", Number(Fraction(name)), modulus) if name.isdigit() else answer
                return (
                    (len(name) < 2 or left is not answer) and self.is_equal(left, answer) and self.same(tree, residue)
                )
            case (Time() as time, Ratio(_, clock)) | (Ratio(_, clock), Time() as time) if clock:
                return same_time(time, Time(clock))
            case (Collection("{}" | "", (item,)), other) | (other, Collection("{}" | "", (item,))):
                return self.is_equal(item, other)
            case (Matrix(rows), Collection() as row) | (Collection() as row, Matrix(rows)):
                return self._same_vectors(rows, row, gold is row)
            case (Collection() | Region() | Inequality(), Collection() | Region() | Inequality()):
                return self._same_regions(gold, answer)
        return False

    def _same_quantities(self, gold: Quantity, answer: Quantity) -> bool:
        (left, left_unit), (right, right_unit) = align_units(gold, answer)
        if left_unit is None or right_unit is None:
            alone = left_unit or right_unit
            if alone is not None and alone.names == PERCENT.names:
                hundredth = divide(left if left_unit else right, HUNDRED)
                return self.same(hundredth, right if left_unit else left)
            return (
                alone is None or may_be_missing(alone, left if left_unit else right, left_unit is None)
            ) and self.same(left, right)
        if left_unit.agrees(right_unit):
            return self.same(left, right)
        converted = gold.compound or answer.compound or (left_unit.converts and right_unit.converts)
        return converted and same_measure(left, left_unit, right, right_unit)

    def _same_ratios(self, gold: Ratio, answer: Ratio) -> bool:
        if gold.clock and answer.clock:
            return (*gold.clock, 0)[:3] == (*answer.clock, 0)[:3]
        if (gold.clock or answer.clock) and all(map(looks_like_a_time, (gold, answer))):
            return False  # 4:60 for 2:30
        if len(gold.parts) != len(answer.parts):
            return False
        scaled = [
            (divide(one, gold.parts[0]), divide(other, answer.parts[0]))
            for one, other in zip(gold.parts, answer.parts, strict=True)
        ]
        return all(self.same(one, other) for one, other in scaled[1:])

    def _same_congruences(self, gold: Congruence, answer: Congruence) -> bool:
        names = gold.name == answer.name or not (gold.name and answer.name)
        modulus, residues = evaluate_exactly(gold.modulus), [evaluate_exactly(one.residue) for one in (gold, answer)]
        if not names or not self.same(gold.modulus, answer.modulus):
            return False
        if not modulus or residues[0] is None or residues[1] is None:
            return self.same(gold.residue, answer.residue)
        return (residues[0] - residues[1]) % modulus == 0

    # Sets and lists

    def _same_regions(self, gold: Answer, answer: Answer) -> bool:
        try:
            return same_sets(gold, answer, self.same)
        except NoSet:
            pass
        if isinstance(gold, Region) and isinstance(answer, Region) and gold.kind == answer.kind:
            return match_members(gold.parts, answer.parts, self.is_equal)
        joint = [list_conditions(one) for one in (gold, answer)]
        if all(joint):
            return match_members(joint[0], joint[1], self.is_equal)
        return False

    def _same_collections(self, gold: Collection, answer: Collection) -> bool:
        gold, answer = to_tuples(gold, answer), to_tuples(answer, gold)
        if any(map(list_conditions, (gold, answer))):
            return self._same_regions(gold, answer)
        for one, other in ((gold, answer), (answer, gold)):
            if one.brackets == "{}" and len(one.items) == 1 and other.brackets == "()":  # {(1,2)}
                return self.is_equal(one.items[0], other)
        if gold.ordered != answer.ordered or (gold.ordered and gold.brackets != answer.brackets):
            return False
        if gold.ordered:
            same_length = len(gold.items) == len(answer.items)
            return same_length and all(
                same_member(one, other, self.is_equal) for one, other in zip(gold.items, answer.items, strict=True)
            )
        if gold.brackets == answer.brackets == "{}":
            gold, answer = remove_duplicates(gold, self.is_equal), remove_duplicates(answer, self.is_equal)
        equations = [item for item in (*gold.items, *answer.items) if isinstance(item, Equation)]
        if len(equations) == 2 * len(gold.items) and None in map(read_solution, equations):
            return match_members(gold.items, answer.items, self.is_equal)
        return same_lists(name_items(gold), name_items(answer), self.is_equal)

    def _same_vectors(self, rows: tuple[tuple[Tree, ...], ...], row: Collection, strict: bool) -> bool:
        """Compare a column or row with a tuple.

        [1, 2] is a vector only in the ``strict`` sense of no gold: an interval.
        """
        entries = tuple(cell for one in rows for cell in one)
        brackets = row.brackets == "()" or (row.brackets == "[]" and (not strict or len(row.items) > 2))
        if not brackets or 1 not in (len(rows), len(rows[0])) or len(entries) != len(row.items):
            return False
        return all(self.is_equal(Quantity(entry), item) for entry, item in zip(entries, row.items, strict=True))

    # Relations

    def _same_equations(self, gold: Answer, answer: Answer) -> bool:
        if not isinstance(answer, Equation):
            assert isinstance(gold, Equation)
            solved = read_solution(gold)
            if isinstance(answer, Matrix):
                return self._same_chain(answer, gold)
            if solved is None:
                return isinstance(answer, Collection) and self._same_assignments(gold, answer)
            return all(self.is_equal(value, answer) for value in solved[1]) or (
                isinstance(answer, Collection) and self._same_assignments(gold, answer)
            )
        if not isinstance(gold, Equation):
            if isinstance(gold, Collection) and (
                self._same_assignments(gold, answer) or self._same_repeated(gold, answer)
            ):
                return True
            return self._same_chain(gold, answer)
        return self._same_relations(gold, answer)

    def _same_repeated(self, gold: Collection, answer: Equation) -> bool:
        """Compare (1, 1, 1) with x = y = z = 1."""
        values = to_tuple(dict(name_tuple(answer))) if len(answer.members) > 2 else None
        return values is not None and self.is_equal(gold, values)

    def _same_assignments(self, gold: Answer, answer: Answer) -> bool:
        """Compare (x,y) = (1,2) with x = 1, y = 2."""
        sides = [name_items(one) if isinstance(one, Collection) else name_tuple(one) for one in (gold, answer)]
        if any(not side or any(not name for name, _ in side) for side in sides):
            return False
        return same_lists(sides[0], sides[1], self.is_equal) if len({name for name, _ in sides[0]}) > 1 else False

    def _same_chain(self, gold: Answer, answer: Equation) -> bool:
        """Compare a value with an answer of several members.

        Names and formulas may stand in front of the value, which each other member must have.
        """
        if all(member.simple for member in answer.members):  # x = y says y; A = B = C says nothing
            return len(answer.members) == 2 and self.is_equal(gold, answer.members[1].answer)
        value = evaluate_exactly(gold.tree) if isinstance(gold, Quantity) else None
        constant = value != 0 and not (isinstance(gold, Quantity) and find_letters(gold.tree))
        values = [
            member.answer
            for place, member in enumerate(answer.members)
            if not is_label(member, gold, constant, place) and not (constant and is_step(answer, place))
        ]
        return bool(values) and all(self.is_equal(gold, value) for value in values)

    def _same_relations(self, gold: Equation, answer: Equation) -> bool:
        solved, given = read_solution(gold), read_solution(answer)
        values = same_function(solved, given) if solved and given else None
        if solved and values is not None:
            return all(self.is_equal(one, other) for one in solved[1] for other in values)
        members = [[member.answer for member in one.members] for one in (gold, answer)]
        if len(members[0]) == len(members[1]) > 2 and match_members(members[0], members[1], self.is_equal):
            return True
        if name_tuple(gold) and name_tuple(answer):
            return same_lists(name_tuple(gold), name_tuple(answer), self.is_equal)
        if any(is_value(one) for one in (solved, given)):
            return False  # 2x = 10 is not yet x = 5
        sides = [subtract_sides(one) for one in (gold, answer)]
        return sides[0] is not None and sides[1] is not None and self._are_proportional("=", sides[0], sides[1])

    def _same_inequalities(self, gold: Inequality, answer: Inequality) -> bool:
        try:
            return same_sets(gold, answer, self.same)
        except NoSet:
            pass
        if len(gold.signs) != 1 or len(answer.signs) != 1:
            pairs = zip(_mirror_sides(gold), _mirror_sides(answer), strict=False)
            same_signs = len(gold.signs) == len(answer.signs) and _mirror_signs(gold) == _mirror_signs(answer)
            return same_signs and all(self.same(one, other) for one, other in pairs)
        (left, sign), (right, other_sign) = _to_less_than_zero(gold), _to_less_than_zero(answer)
        return sign == other_sign and self._are_proportional(sign, left, right)

    def _are_proportional(self, sign: str, left: Tree, right: Tree) -> bool:
        """Return whether left <sign> 0 and right <sign> 0 are one relation: one side a constant times the other."""
        if find_letters(left) != find_letters(right):
            return False
        if left == right:
            return True
        try:
            factor = field.find_constant_factor(left, right)
        except Undecided:
            return self.ask(dump_relation(sign, left), dump_relation(sign, right))
        return factor is not None and factor != 0 and (sign in ("=", "!=") or factor > 0)


def dump_relation(sign: str, tree: Tree) -> str:
    """Return ``tree <sign> 0`` as the worker reads it."""
    return f'["{sign}",{dump(tree)}]'


def _mirror_sides(inequality: Inequality) -> tuple[Tree, ...]:
    turned = inequality.signs[0] in MIRRORED_GREATER
    return inequality.sides[::-1] if turned else inequality.sides


def _mirror_signs(inequality: Inequality) -> tuple[str, ...]:
    turned = inequality.signs[0] in MIRRORED_GREATER
    return tuple(MIRRORED_GREATER.get(sign, sign) for sign in inequality.signs[::-1]) if turned else inequality.signs


def _to_less_than_zero(inequality: Inequality) -> tuple[Tree, str]:
    """Return what is less than zero, and the sign: of x > 2, 2 - x."""
    (left, right), (sign,) = inequality.sides, inequality.signs
    if sign in MIRRORED_GREATER:
        left, right, sign = right, left, MIRRORED_GREATER[sign]
    return Sum((left, negate(right))), sign
