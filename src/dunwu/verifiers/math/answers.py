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

An expression and its value count as one (10! for 3628800). Problems that ask for a written number are of kind
``number`` (``same_literal``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

from dunwu.verifiers.choices import CHOICE_DENIED, find_chosen_letters, names_others, read_letters
from dunwu.verifiers.math.brackets import split_at
from dunwu.verifiers.math.equality import AnswerComparison, Ask
from dunwu.verifiers.math.equations import read_solution
from dunwu.verifiers.math.exact import Undefined, evaluate_exactly
from dunwu.verifiers.math.quantities import read_literal
from dunwu.verifiers.math.reading import read, read_answer_tokens, read_subject
from dunwu.verifiers.math.records import Answer, Collection, Conditional, Equation, Quantity
from dunwu.verifiers.math.sympy_pool import share_budget
from dunwu.verifiers.math.tokens import LONGEST_ANSWER, Token
from dunwu.verifiers.math.tree import dump
from dunwu.verifiers.math.unit_phrases import read_currency, split_quantity
from dunwu.verifiers.math.units import PERCENT
from dunwu.verifiers.math.wording import spell_tokens, strip_tokens

PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
GROUPED = re.compile(r"(?<=\d),(?=\d{3})")
SPOKEN_MIXED = re.compile(r"(?<![\d.])(\d+) and (?=\d+/\d|\\[dt]?frac)")


def same_answer(gold: str, answer: str, ask: Ask) -> bool:
    """Return whether ``answer`` means ``gold``. Raises whatever ``ask`` raises.

    Args:
        gold: The right answer, as text.
        answer: What was answered, as text.
        ask: Decides about trees, or relations, that cannot be decided here.
    """
    if gold.strip() == answer.strip():
        return True
    if max(len(gold), len(answer)) > LONGEST_ANSWER:
        return False
    if PLAIN_NUMBER.fullmatch(gold) and PLAIN_NUMBER.fullmatch(answer):  # most golds, and most answers to them
        return Decimal(gold) == Decimal(answer)
    subjects = read_subject(gold), read_subject(answer)
    if all(subjects) and subjects[0] != subjects[1]:  # Alice is taller; Bob is taller
        return False
    chosen = read_letters(gold)
    if chosen:
        if names_others(subjects[1], chosen):  # C is B
            return False
        given = find_chosen_letters(answer, alone=len(chosen) > 1)
        if given is not None or _says_more(answer):
            return given == chosen
    tokens = read_answer_tokens(gold), read_answer_tokens(answer)
    if spell_tokens(tokens[0]) == spell_tokens(tokens[1]) != "":
        return True
    with share_budget(), suppress(Undefined):  # 1/0 equals nothing
        return any(AnswerComparison(ask).is_equal(*pair) for pair in _read_pairs(gold, answer))
    return False


def _read_pairs(gold: str, answer: str) -> Iterator[tuple[Answer, Answer]]:
    """Yield what both say. Beside a list, commas without spaces part members too: 120,150 and 120, 150."""
    yield read(gold), read(answer)
    if SPOKEN_MIXED.search(answer):  # 2 and 2/3
        yield read(gold), read(SPOKEN_MIXED.sub(r"\1 ", answer))
    lists = [isinstance(read(text), Collection) for text in (gold, answer)]
    if lists[0] and not lists[1] and GROUPED.search(answer):
        yield read(gold), read(GROUPED.sub(", ", answer))
    if lists[1] and not lists[0] and GROUPED.search(gold):
        yield read(GROUPED.sub(", ", gold)), read(answer)


def _says_more(answer: str) -> bool:
    """Return whether an answer that is no choice takes a letter back, gives it a unit or a value: A项错误, A°, A=2."""
    said = read(answer)
    another = isinstance(said, (Equation, Conditional)) or (isinstance(said, Quantity) and said.unit is not None)
    return another or CHOICE_DENIED.search(answer) is not None


def same_literal(gold: str, answer: str) -> bool:
    """Return whether ``answer`` is a written number with the value of ``gold``, no operation left to do.

    Units count as in ``same_answer``. A fraction for a whole number (24/2 for 12) is a division left to do, unless the
    gold is written so itself.
    """
    if max(len(gold), len(answer)) > LONGEST_ANSWER:
        return False
    left, right = _read_written(gold), _read_written(answer)
    if left is None or right is None:
        return False
    undone = left[0].denominator == 1 and gold != answer and any(token.text in ("/", "frac") for token in right[1])
    whole = len(right[1]) > 3 and right[1][0].kind == "number" and right[0].denominator == 1
    return (not undone or whole) and same_answer(gold, answer, lambda *_: False)


def read_literal_value(text: str) -> Fraction | None:
    """Return the value of the number that ``text`` writes down, its unit and name aside; None for any other text."""
    written = _read_written(text) if len(text) <= LONGEST_ANSWER else None
    return None if written is None else written[0]


def _read_written(text: str) -> tuple[Fraction, list[Token]] | None:
    """Return the value of a written number, and its tokens without name, currency and unit."""
    tokens = list(read_answer_tokens(text))
    said = read(text)
    if isinstance(said, Equation):
        members = split_at(tokens, ("=",))
        if len(members) != 2 or not said.members[0].simple:
            return None
        tokens = strip_tokens(members[1])
    sign = tokens[:1] if tokens and tokens[0].text == "-" else []
    currency = read_currency(tokens[len(sign) :])
    tokens = [*sign, *tokens[len(sign) + currency[1] :]] if currency else tokens
    for end in (len(tokens), *(place for place, _ in split_quantity(tokens))):
        number = read_literal(tokens[:end])
        if number is not None:
            return number.value, list(tokens[:end])
    return None


def make_key(answer: str, written: bool = False) -> str:
    """Return the same text for answers that say one thing: as numbers, names and known units aside, or as text.

    Args:
        answer: As it was extracted.
        written: Whether only written numbers have a value, as in problems of kind ``number``.
    """
    if len(answer) > LONGEST_ANSWER:
        return answer.strip()
    said = read(answer)
    solved = read_solution(said) if isinstance(said, Equation) else None
    value = solved[1][0] if solved and len(solved[1]) == 1 else said
    plain = isinstance(value, Quantity) and (value.unit is None or value.unit.known)
    if not isinstance(value, Quantity) or not plain or (written and _read_written(answer) is None):
        return spell_tokens(read_answer_tokens(answer))
    number = _evaluate(value)
    percent = value.unit is not None and value.unit.names == PERCENT.names
    return (dump(value.tree) if number is None else str(number)) + ("%" if percent else "")


def _evaluate(value: Quantity) -> Fraction | None:
    try:
        return evaluate_exactly(value.tree)
    except Undefined:
        return None
