"""A chain of thought without its numbers and its answer, as a hint for a question that has others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Final

from dunwu.serve.path_cache.numbers import WrittenNumber, find_numbers, read_value, replace_numbers
from dunwu.serve.path_cache.records import ReasoningPath

BLANK: Final = "[…]"
BOXED: Final = re.compile(r"\\boxed\s*\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}")
HINT: Final = """\
A question of the same form, with other numbers, was solved as follows. In it {letters}, and […] is a value that is \
not given: work it out anew. The steps may be wrong here, so check each.

{path}"""


def blank_path(reasoning: str, numbers: Sequence[str], final_answer: str) -> str | None:
    """Take a chain's numbers and its answer out of it.

    Args:
        reasoning: The chain.
        numbers: Those of its question, in order, as written.
        final_answer: Its answer, which goes wherever it stands, and every number of the same value with it.

    Returns:
        The chain with ``[A]``, ``[B]``, ... for the numbers of the question and ``[…]`` for all others; None for an
        answer without a number, such as a name, which a chain can give away in other words.
    """
    answers = [number.text for number in find_numbers(final_answer)]
    if not answers:
        return None
    letters = _name_numbers(numbers, answers)

    def name(number: WrittenNumber) -> str:
        return letters.get(_identify(number.text), BLANK)

    text = BOXED.sub(lambda _: BLANK, reasoning)
    if read_value(final_answer.strip()) is None:  # an expression, or a number with its unit
        text = re.sub(re.escape(final_answer.strip()), lambda _: BLANK, text, flags=re.IGNORECASE)
    return replace_numbers(text, name)


def write_hint(path: ReasoningPath, numbers: Sequence[str]) -> str:
    """Write a path as a hint for the prompt.

    Args:
        path: Of a question with the same template.
        numbers: Those of the new question, in order, as written.

    Returns:
        A few lines in English, which say what the letters stand for now.
    """
    used = [(letter, number) for letter, number in zip(ascii_uppercase, numbers, strict=False)]
    named = [f"[{letter}] is {number}" for letter, number in used if f"[{letter}]" in path.text]
    return HINT.format(letters=", ".join(named) or "no number is named", path=path.text)


def _name_numbers(numbers: Sequence[str], answers: Sequence[str]) -> dict[object, str]:
    """Give each number of a question its letter, but not one that stands there twice, or is in the answer."""
    values = [_identify(number) for number in numbers]
    counts = Counter(values)
    hidden = {_identify(answer) for answer in answers}
    return {
        value: f"[{letter}]"
        for letter, value in zip(ascii_uppercase, values, strict=False)
        if counts[value] == 1 and value not in hidden
    }


def _identify(number: str) -> object:
    """Return a number's value; its text where nobody reads it."""
    value = read_value(number)
    return number if value is None else value
