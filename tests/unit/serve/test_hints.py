"""Paths are chains without their numbers and answers."""

from __future__ import annotations

import pytest

from dunwu.serve.path_cache.hints import BLANK, blank_path, write_hint
from dunwu.serve.path_cache.numbers import find_numbers
from dunwu.serve.path_cache.records import Provenance, ReasoningPath

VERIFIED = Provenance(kind="verified", by="accuracy")
CHAINS = [
    (["16", "3", "4", "2"], "16 - 3 - 4 = 9. 9 * 2 = 18 dollars. So $18, eighteen, 18.0, \\boxed{18}.", "18"),
    (["12", "five"], "Twelve and 5 are seventeen. The answer is 17 plums. 17 PLUMS!", "17 plums"),
    (["三十二", "5"], "三十二减5是二十七，答案是27，也就是二十七。", "27"),
    (["3", "4"], "So 3/4, or 0.75, which is 75%, three quarters, \\frac{3}{4}.", "\\frac{3}{4}"),
    (["1,200"], "1200 halved is 600, six hundred, 六百.", "600"),
    (["7", "9"], "The larger of 7 and 9 is 9, that is nine.", "9"),
]


@pytest.mark.parametrize(("numbers", "chain", "answer"), CHAINS)
def test_no_number_of_a_chain_and_no_answer_survives(numbers: list[str], chain: str, answer: str) -> None:
    path = blank_path(chain, numbers, answer)
    assert path
    assert list(find_numbers(path)) == []
    assert answer.lower() not in path.lower()


def test_numbers_of_the_question_become_letters() -> None:
    path = blank_path("16 - 3 = 13, sixteen less three. 13 * 2 = 26.", ["16", "3", "2"], "26")
    assert path == f"[A] - [B] = {BLANK}, [A] less [B]. {BLANK} * [C] = {BLANK}."


def test_a_number_that_stands_twice_or_is_the_answer_has_no_letter() -> None:
    assert blank_path("5 + 5 + 7", ["5", "5", "7"], "17") == f"{BLANK} + {BLANK} + [C]"
    assert blank_path("max(5, 7) = 7", ["5", "7"], "7") == f"max([A], {BLANK}) = {BLANK}"


@pytest.mark.parametrize("answer", ["Tuesday", "yes", "(C)", "x + y"])
def test_an_answer_without_a_number_gives_no_path(answer: str) -> None:
    assert blank_path(f"It is {answer}.", ["3"], answer) is None


def test_a_hint_says_what_the_letters_stand_for_now() -> None:
    path = ReasoningPath(text="[A] - [C] = […] {x}", provenance=VERIFIED, age_s=1.0)
    hint = write_hint(path, ["20", "5", "三"])
    assert "[A] is 20, [C] is 三," in hint
    assert hint.endswith("\n\n[A] - [C] = […] {x}")
    assert "no number is named" in write_hint(ReasoningPath(text="Add.", provenance=VERIFIED, age_s=1.0), ["20"])
