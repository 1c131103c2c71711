"""Misleading premises: which refusals count, and that a sound premise is not refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.verifiers.premise import REFUSALS, check


@pytest.mark.parametrize("answer", ["refuse", "Refuse", " REFUSE. ", '"refuse"', "**refuse**", "\\text{refuse}"])
def test_the_word_asked_for_refuses(answer: str) -> None:
    assert check("refuse", answer) == (True, "refuses a false premise")
    assert check("10", answer) == (False, "refuses a sound premise")


@pytest.mark.parametrize("answer", ["前提错误", "“前提错误”", "前提错误。"])
def test_the_chinese_words_asked_for_refuse(answer: str) -> None:
    assert check("前提错误", answer) == (True, "refuses a false premise")
    assert check("10", answer) == (False, "refuses a sound premise")


@pytest.mark.parametrize(
    "answer",
    [
        "10",
        "I refuse",
        "refused",
        "refuse 10",
        "refuse, or 10",
        "the premise is false",
        "impossible",
        "前提错误",
        "",
        "no",
    ],
)
def test_nothing_else_does(answer: str) -> None:
    assert check("refuse", answer) == (False, "the premise is false, and the answer not refuse")


def test_the_refusal_of_another_language_is_none() -> None:
    assert not check("前提错误", "refuse")[0]
    assert not check("前提错误", "前提不成立")[0]


@pytest.mark.parametrize(
    ("answer", "right"), [("-7", True), ("−7", True), ("-7.0", True), ("7", False), ("-5-2", False)]
)
def test_a_sound_premise_has_a_number(answer: str, right: bool) -> None:
    assert check("-7", answer) == (right, "equals -7" if right else "does not equal -7")


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800"), max_size=60))
def test_no_text_breaks_the_check(answer: str) -> None:
    for gold in ("10", *REFUSALS):
        right, reason = check(gold, answer)
        assert right == reason.startswith(("equals", "refuses a false"))
        assert not right or len(answer) < 60


@pytest.mark.parametrize("answer", ["(" * 10_000_000, "<think>" * 1_428_571, "refuse" * 1_666_666])
def test_ten_megabytes_are_no_matter(answer: str) -> None:
    assert not check("10", answer)[0]
    assert not check("refuse", answer)[0]
