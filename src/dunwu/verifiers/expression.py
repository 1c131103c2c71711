"""Countdown and the 24 game: does an expression use the given numbers, each exactly once, and reach the target?"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

from dunwu.verifiers.arithmetic import LONGEST_EXPRESSION, Arithmetic, NotArithmetic, evaluate
from dunwu.verifiers.math.characters import reads_as_another
from dunwu.verifiers.verdict import Verdict

OPERATOR_SPELLINGS = (
    ("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("\\left", " "), ("\\right", " "),
    ("×", "*"), ("·", "*"), ("⋅", "*"), ("∗", "*"), ("÷", "/"), ("∕", "/"), ("−", "-"), ("–", "-"), ("$", " "),
)  # fmt: skip
"""What is dropped leaves a space, so that 1$2 does not become 12."""


def check(tests: tuple[str, ...], answer: str) -> Verdict:
    """Check that an expression reaches the target and uses each number once.

    Accepted: + - * / × ÷ · and their LaTeX and full-width forms, parentheses, unary minus, and a tail ``= value`` that
    is true. Fractions on the way are fine.

    Args:
        tests: The target, then the numbers.
        answer: The expression.
    """
    target, *given = (Fraction(fact) for fact in tests)
    try:
        found, claimed = _read(answer)
    except NotArithmetic as problem:
        return Verdict(False, f"not an expression: {problem}")
    if Counter(found.numbers) != Counter(given):
        return Verdict(False, f"uses {_join_numbers(found.numbers)}, not each of {_join_numbers(given)} once")
    if found.value != target:
        return Verdict(False, f"gives {found.value}, not {target}")
    if claimed != found.value:
        return Verdict(False, f"gives {found.value} but says {claimed}")
    return Verdict(True, f"reaches {target}")


def make_key(answer: str) -> str:
    """Return the same text for expressions that are algebraically one in the same numbers: 3*(5+7) and (7+5)*3.

    Every number is replaced by a fixed pseudo-random fraction, so that unlike expressions of equal value (2+2, 2*2)
    differ. What cannot be read, or claims a false value, is its own key.
    """
    try:
        found, claimed = _read(answer)
        if claimed == found.value:
            identity, _ = _read(answer, reading=_substitute_number)
            return f"{identity.value} in {_join_numbers(sorted(found.numbers))}"
    except NotArithmetic:
        pass
    return answer.strip()


def _substitute_number(number: Fraction) -> Fraction:
    rng = random.Random(f"stand-in/{number}")
    return Fraction(rng.randint(2**30, 2**31), rng.randint(2**30, 2**31))


def _read(answer: str, reading: Callable[[Fraction], Fraction] | None = None) -> tuple[Arithmetic, Fraction]:
    """Read an expression, and the value that it says it has (its own where it says nothing).

    Raises:
        NotArithmetic: It is none.
    """
    if len(answer) > LONGEST_EXPRESSION:
        raise NotArithmetic(f"longer than {LONGEST_EXPRESSION} characters")
    for char in answer:
        if reads_as_another(char) and not char.isspace():
            raise NotArithmetic(f"unexpected {char!r}")
    text = unicodedata.normalize("NFKC", answer)
    for written, sign in OPERATOR_SPELLINGS:
        text = text.replace(written, sign)
    left, equals, right = text.partition("=")
    found = evaluate(left, reading=reading)
    return found, evaluate(right).value if equals else found.value


def _join_numbers(numbers: tuple[Fraction, ...] | list[Fraction]) -> str:
    return ", ".join(map(str, numbers)) or "no numbers"
