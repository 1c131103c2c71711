r"""Mathematical answers: the exact part, by hand, and what is left to ask a worker.

``same(gold, answer, ask)`` takes both apart together: lead-ins, units, lists, tuples, intervals, matrices, ``x =``,
``\pm``. What is plain arithmetic is compared as exact fractions, what is words as words; ``ask(gold, answer) -> bool``
decides the rest, piece by piece, within one budget. Strict on purpose, because a model learns whatever a lenient grader
lets through:

- a decimal equals a fraction only exactly (0.333 is not 1/3; 0.\overline{3} is);
- 50% is 1/2, not 50;
- 5 meters is not 5 cm, and not 500 cm either: the question named the unit. A unit of the table (``units.py``) on one
  side only is fine. Any other word after a number counts only where both sides have it: "5 zorks" answers "5 zorks"
  alone, because nobody can list all words that change a number (5 doubled, 5 or so, 5左右). A letter is a unit where
  the other side names that unit (5 m, 5 meters), else a factor;
- sets and bare lists have no order, tuples and intervals do, and brackets count: (1,2] is not [1,2), [5] is not 5;
- a ratio has a value, 2:3 is 4:6; two that could be times of the day (3:30, 1:10) are equal part by part only;
- "≈" is "=" only between written decimals, where the gold is a rounded value itself;
- an equation in one letter is no answer to what that letter is: 2x = 10 is not x = 5;
- dots (1,2,...,n), words, number bases, remainders and whatever an algebra system would misread are compared as text.

Not told apart: an expression and its value (10! for 3628800). Problems that ask for a written number are of kind
``number`` (``same_literal``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from dunwu.verifiers.latex import LONGEST, literal, normal, rational, split
from dunwu.verifiers.math_algebra import depth, only_text, wording
from dunwu.verifiers.math_numerals import digits
from dunwu.verifiers.math_shapes import RELATION, Shape, shape
from dunwu.verifiers.pool import one_budget
from dunwu.verifiers.units import ANGLE_OF, agree, known, quantities, quantity

Ask = Callable[[str, str], bool]

DEEPEST = 40
MOST_ITEMS = 32
MOST_STEPS = 2000
"""Pieces of two answers held against each other; lists of lists can have a million."""
EQUALS = re.compile(r"(?<![<>!:\\])=")
NAME = (
    r"(?:(?:[a-zA-Z]|\\(?!sum|prod|int|lim|pi|infty)[a-zA-Z]+)(?:_\{\w+\}|_\w+)?(?:\([a-zA-Z]\))?"
    r"|\([a-zA-Z](?:,[a-zA-Z])+\))"
)
LETTER = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]")
CHOICE = re.compile(r"(?:\\text ?\{ *)?(?P<option>(?:option|choice|选项?) ?)?\(? *([A-Z]) *\)?\.?(?: *\})?", re.I)
APPROXIMATE = re.compile(rf"(?:{NAME})?\\approx ?(.+)")
DECIMAL = re.compile(r"-?\d*\.\d+", re.ASCII)
DEGREES = re.compile(r"(\d+(?:\.\d+)?)°", re.ASCII)
NEGATIVE = re.compile(r"(?:\A|(?<=[(\[{,]))(?:(?:negative|minus) ?|负)(?=\.?\d|\\(?:frac|sqrt|pi)(?![a-z]))", re.I)
WRITTEN_FRACTION = re.compile(r"/|\\frac")
SUCH_THAT = re.compile(r"\\\{ ?[a-zA-Z](?:\\in ?\\mathbb\{R\})?(?:\\mid ?|\\vert ?|\||:)([^{}]+)\\\}")
LEAD_IN = re.compile(
    r"\**(?:(?:so|thus|therefore|hence|所以|因此|故),? ?)?(?:the )?(?:final |correct )?(?:answer|答案?)\**"
    r"(?: (?:is|are)|[是为:=])+\** ?|(?:so|thus|therefore|hence)[, ] ?|(?:所以|因此|故),?|="
    r"|一?共有?|总共有?|合计|还剩下?",
    re.I,
)


def same(gold: str, answer: str, ask: Ask) -> bool:
    """Whether ``answer`` means ``gold``. Raises whatever ``ask`` raises."""
    if gold.strip() == answer.strip():
        return True
    if max(len(gold), len(answer)) > LONGEST:
        return False
    with one_budget():
        return _Comparison(ask).same(*_rounded(_read(gold), _read(answer)))


def same_literal(gold: str, answer: str) -> bool:
    """Whether ``answer`` is a written number with the value of ``gold``, no operation left to do. Units as in same.

    A fraction for a whole number (24/2 for 12) is a division left to do, unless the gold is written so itself.
    """

    def written(left: str, right: str) -> bool:
        value = literal(left)
        undone = value is not None and value.denominator == 1 and left != right and WRITTEN_FRACTION.search(right)
        return value is not None and value == literal(right) and not undone

    if max(len(gold), len(answer)) > LONGEST:
        return False
    named = _named(answer_text := _read(answer))
    return _same_quantity(_read(gold), named[1] if named else answer_text, written, literal)


def key(answer: str, value_of: Callable[[str], Fraction | None] = rational) -> str:
    """The same for two answers that are equal as text or, as ``value_of`` reads it, numbers; units and names aside."""
    if len(answer) > LONGEST:
        return answer.strip()
    text = _read(answer)
    named = _named(text)
    value, unit = quantity(named[1] if named else text)
    if not known(unit):  # it may say anything of the number
        return text
    number = value_of(value)
    return (value if number is None else str(number)) + ("%" if unit == "%" else "")


def _read(answer: str) -> str:
    r"""Normal text without a lead-in, numerals as digits, ``{x | x > 2}`` as ``x > 2``, sin 30° as sin(30\pi/180)."""
    text = normal(answer)
    lead_in = LEAD_IN.match(text)
    text = text[lead_in.end() :].strip() or text if lead_in else text
    text = digits(NEGATIVE.sub("-", text))
    if ANGLE_OF.search(text):
        text = DEGREES.sub(r"(\1\\pi/180)", text)
    condition = SUCH_THAT.fullmatch(text)
    return condition[1].strip() if condition and (RELATION.search(condition[1]) or "=" in condition[1]) else text


def _rounded(gold: str, answer: str) -> tuple[str, str]:
    r"""Both without ``\approx``, if they are decimals then."""
    bare = [match[1] if (match := APPROXIMATE.fullmatch(text)) else text for text in (gold, answer)]
    decimals = all(DECIMAL.fullmatch(quantity(text)[0]) for text in bare)
    return (bare[0], bare[1]) if decimals else (gold, answer)


@dataclass
class _Comparison:
    """One call of ``same``: whom to ask, and how many pieces may still be looked at."""

    ask: Ask
    steps: int = MOST_STEPS

    def same(self, gold: str, answer: str, *, peel: bool = True) -> bool:
        self.steps -= 1
        if gold == answer or self.steps < 0:
            return gold == answer != ""
        gold_shape, answer_shape = shape(gold), shape(answer)
        if gold_shape and answer_shape and gold_shape.kind == answer_shape.kind:
            return self.same_items(gold_shape, answer_shape)
        if gold_shape and answer_shape and "union" not in (gold_shape.kind, answer_shape.kind):
            return False
        if peel:
            named = _peeled(gold, answer)
            if named is not None:
                return named[0] and all(self.same(named[1], member, peel=False) for member in named[2])
        return _same_quantity(gold, answer, self.same_value)

    def same_items(self, gold: Shape, answer: Shape) -> bool:
        if len(gold.items) != len(answer.items) or len(gold.items) > MOST_ITEMS:
            return False
        shapes = (gold.items, answer.items)
        peel = all(len({named[0] for item in items if (named := _named(item))}) < 2 for items in shapes)
        if gold.ordered:
            return all(self.same(g, a, peel=peel) for g, a in zip(gold.items, answer.items, strict=True))
        left = list(answer.items)
        for item in sorted(gold.items, key=lambda item: item not in left):  # what is equal as text needs no search
            if item in left:
                left.remove(item)
                continue
            found = next((other for other in left if self.same(item, other, peel=peel)), None)
            if found is None:
                return False
            left.remove(found)
        return True

    def same_value(self, gold: str, answer: str) -> bool:
        if gold == answer:
            return bool(gold)
        left, right = rational(gold), rational(answer)
        if left is not None and right is not None:
            return left == right
        letters = CHOICE.fullmatch(gold), CHOICE.fullmatch(answer)
        if letters[0] and ("(" in gold + answer or any(letter and letter["option"] for letter in letters)):
            return letters[1] is not None and letters[1][2].upper() == letters[0][2].upper()
        if only_text(gold) or only_text(answer):
            return wording(gold) == wording(answer) != ""
        if depth(gold) > DEEPEST or depth(answer) > DEEPEST:
            return False
        return self.ask(gold, answer)


def _same_quantity(
    gold: str, answer: str, same_value: Ask, value_of: Callable[[str], Fraction | None] = rational
) -> bool:
    (gold_value, gold_unit), (answer_value, answer_unit) = quantities(gold, answer)
    if "%" in (gold_unit, answer_unit) and gold_unit != answer_unit:
        left, right = value_of(gold_value), value_of(answer_value)
        scale = 100 if answer_unit == "%" else 1
        bare = not (gold_unit and answer_unit)
        return bare and left is not None and right is not None and left * scale == right * (100 // scale)
    return agree(gold_unit, answer_unit) and same_value(gold_value, answer_value)


def _peeled(gold: str, answer: str) -> tuple[bool, str, list[str]] | None:
    r"""Without ``x =`` or ``x \in``: (names agree, gold value, members of the answer's chain); None without a name.

    ``6 = 2+4`` style chains count only if every member equals the gold. Where one side is a function, ``y = 2x+3``, and
    the other an equation without a name, ``2x-y+3 = 0``, nothing is peeled: the two are compared as relations.
    """
    gold_named, answer_named = _named(gold), _named(answer)
    gold_value = gold_named[1] if gold_named else gold
    answer_value = answer_named[1] if answer_named else answer
    members = split(answer_value, EQUALS)
    if not gold_named and not answer_named and (len(members) == 1 or EQUALS.search(gold)):
        return None
    if (named := gold_named or answer_named) and not (gold_named and answer_named) and LETTER.search(named[1]):
        equation = answer if gold_named else gold
        if EQUALS.search(equation) and set(LETTER.findall(equation)) == set(LETTER.findall("".join(named))):
            return None
    if any(EQUALS.search(member) or not member for member in members) or EQUALS.search(gold_value):
        return (False, gold, members) if gold_named or answer_named else None
    agree = not (gold_named and answer_named) or gold_named[0] == answer_named[0]
    return agree, gold_value, members


def _named(text: str) -> tuple[str, str] | None:
    match = re.match(rf"({NAME})(?:=|\\in ?(?![a-zA-Z]))(?!=)", text)
    rest = text[match.end() :] if match else ""
    if match is None or not rest or RELATION.search(rest) or RELATION.search(match[1]):
        return None
    own_name = re.search(rf"(?<![a-zA-Z\\]){re.escape(match[1])}(?![a-zA-Z])", rest)
    return None if own_name else (match[1], rest)
