r"""Mathematical answers: whether one means the other, and under which key they vote.

Both are read into typed answers (``verifiers/math``) and compared by type. Strict on purpose, because a model learns
whatever a lenient grader lets through:

- a decimal equals a fraction only exactly (0.333 is not 1/3; 0.\overline{3} is);
- 50% is 1/2, not 50;
- 5 meters is not 5 cm, and not 500 cm either: the question named the unit. A unit of the tables (``math/units.py``) on
  one side only is fine, and so is what is counted (``math/counting.py``): 3 bolts, 36 ordered pairs. Any other word
  after a number counts only where both sides have it, because nobody can list all words that change a number (5
  doubled, 5 or so, 5左右). A bare number asks how many there are, not how many for each (12 students per class);
- sets and bare lists have no order, tuples and intervals do, and brackets count: (1,2] is not [1,2), [5] is not 5;
- a ratio has a value, 2:3 is 4:6; what may be a time of the day (3:30) is no quotient;
- "≈" is "=" only between decimals and whole numbers, where the gold is a rounded value itself;
- the letters of a choice that are joined by "or", or taken back, choose nothing;
- an equation in one letter is no answer to what that letter is: 2x = 10 is not x = 5;
- letters are letters: a product of them is no word, and a function of them (gcd(m,n), f(2)) has no value.

Not told apart: an expression and its value (10! for 3628800). Problems that ask for a written number are of kind
``number`` (``same_literal``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

from dunwu.verifiers.choices import DENIED, chosen_letters, letters_of, names_others
from dunwu.verifiers.math.brackets import split_at
from dunwu.verifiers.math.equality import Ask, Comparison
from dunwu.verifiers.math.equations import solution
from dunwu.verifiers.math.exact import Undefined, rational
from dunwu.verifiers.math.quantities import literal
from dunwu.verifiers.math.reading import read, subject_of, tokens_of
from dunwu.verifiers.math.records import Answer, Collection, Conditional, Equation, Quantity
from dunwu.verifiers.math.sympy_pool import one_budget
from dunwu.verifiers.math.tokens import LONGEST, Token
from dunwu.verifiers.math.tree import dump
from dunwu.verifiers.math.units import PERCENT, leading_currency, split_quantity
from dunwu.verifiers.math.wording import bare, spelled

PLAIN = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
GROUPED = re.compile(r"(?<=\d),(?=\d{3})")
MIXED = re.compile(r"(?<![\d.])(\d+) and (?=\d+/\d|\\[dt]?frac)")


def same(gold: str, answer: str, ask: Ask) -> bool:
    """Return whether ``answer`` means ``gold``. Raises whatever ``ask`` raises."""
    if gold.strip() == answer.strip():
        return True
    if max(len(gold), len(answer)) > LONGEST:
        return False
    if PLAIN.fullmatch(gold) and PLAIN.fullmatch(answer):  # most golds, and most answers to them
        return Decimal(gold) == Decimal(answer)
    subjects = subject_of(gold), subject_of(answer)
    if all(subjects) and subjects[0] != subjects[1]:  # Alice is taller; Bob is taller
        return False
    chosen = letters_of(gold)
    if chosen:
        if names_others(subjects[1], chosen):  # C is B
            return False
        given = chosen_letters(answer, alone=len(chosen) > 1)
        if given is not None or _says_more(answer):
            return given == chosen
    tokens = tokens_of(gold), tokens_of(answer)
    if spelled(tokens[0]) == spelled(tokens[1]) != "":
        return True
    with one_budget(), suppress(Undefined):  # 1/0 equals nothing
        return any(Comparison(ask).equal(*pair) for pair in _readings(gold, answer))
    return False


def _readings(gold: str, answer: str) -> Iterator[tuple[Answer, Answer]]:
    """What both say. Beside a list, commas without spaces part members too: 120,150 and 120, 150."""
    yield read(gold), read(answer)
    if MIXED.search(answer):  # 2 and 2/3
        yield read(gold), read(MIXED.sub(r"\1 ", answer))
    lists = [isinstance(read(text), Collection) for text in (gold, answer)]
    if lists[0] and not lists[1] and GROUPED.search(answer):
        yield read(gold), read(GROUPED.sub(", ", answer))
    if lists[1] and not lists[0] and GROUPED.search(gold):
        yield read(GROUPED.sub(", ", gold)), read(answer)


def _says_more(answer: str) -> bool:
    """Whether an answer that is no choice takes a letter back, gives it a unit or a value: A项错误, A°, A=2."""
    said = read(answer)
    another = isinstance(said, (Equation, Conditional)) or (isinstance(said, Quantity) and said.unit is not None)
    return another or DENIED.search(answer) is not None


def same_literal(gold: str, answer: str) -> bool:
    """Return whether ``answer`` is a written number with the value of ``gold``, no operation left to do.

    Units as in ``same``. A fraction for a whole number (24/2 for 12) is a division left to do, unless the gold is
    written so itself.
    """
    if max(len(gold), len(answer)) > LONGEST:
        return False
    left, right = _written(gold), _written(answer)
    if left is None or right is None:
        return False
    undone = left[0].denominator == 1 and gold != answer and any(token.text in ("/", "frac") for token in right[1])
    whole = len(right[1]) > 3 and right[1][0].kind == "number" and right[0].denominator == 1
    return (not undone or whole) and same(gold, answer, lambda *_: False)


def literal_value(text: str) -> Fraction | None:
    """Return the value of the number that ``text`` writes down, its unit and name aside; None for any other text."""
    written = _written(text) if len(text) <= LONGEST else None
    return None if written is None else written[0]


def _written(text: str) -> tuple[Fraction, list[Token]] | None:
    """The value of a written number, and its tokens without name, currency and unit."""
    tokens = list(tokens_of(text))
    said = read(text)
    if isinstance(said, Equation):
        members = split_at(tokens, ("=",))
        if len(members) != 2 or not said.members[0].simple:
            return None
        tokens = bare(members[1])
    sign = tokens[:1] if tokens and tokens[0].text == "-" else []
    currency = leading_currency(tokens[len(sign) :])
    tokens = [*sign, *tokens[len(sign) + currency[1] :]] if currency else tokens
    for end in (len(tokens), *(place for place, _ in split_quantity(tokens))):
        number = literal(tokens[:end])
        if number is not None:
            return number.value, list(tokens[:end])
    return None


def key(answer: str, written: bool = False) -> str:
    """Return the same text for answers that say one thing: as numbers, names and known units aside, or as text.

    Args:
        answer: as it was extracted.
        written: whether only written numbers have a value, as in problems of kind ``number``.
    """
    if len(answer) > LONGEST:
        return answer.strip()
    said = read(answer)
    solved = solution(said) if isinstance(said, Equation) else None
    value = solved[1][0] if solved and len(solved[1]) == 1 else said
    plain = isinstance(value, Quantity) and (value.unit is None or value.unit.known)
    if not isinstance(value, Quantity) or not plain or (written and _written(answer) is None):
        return spelled(tokens_of(answer))
    number = _rational(value)
    percent = value.unit is not None and value.unit.names == PERCENT.names
    return (dump(value.tree) if number is None else str(number)) + ("%" if percent else "")


def _rational(value: Quantity) -> Fraction | None:
    try:
        return rational(value.tree)
    except Undefined:
        return None
