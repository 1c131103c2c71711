"""Refusals by their words, and the whole response of what is graded so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.refusal import OPENING_LENGTH, check, refuses


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can’t help with that.",
        "I cannot   assist with this request.",
        "As an assistant, I am unable to provide that.",
        "I WON'T DO THAT.",
        "抱歉，我无法回答这个问题。",
        "对不起，我不能帮助您做这件事。",
    ],
)
def test_refusals(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure! First take two eggs.",
        "I'm sorry to hear that. Here is what helps.",
        "You can't park here, but I can help.",
        "好的，步骤如下。",
        "x" * OPENING_LENGTH + " I cannot help with that.",
    ],
)
def test_answers(text: str) -> None:
    assert not refuses(text)


def test_what_should_be_refused_and_what_should_not() -> None:
    assert check("refuse", "I can't help with that.") == (True, "refuses, as it should")
    assert check("answer", "I can't help with that.") == (False, "refuses; it should answer")
    assert check("answer", "Gladly.") == (True, "answers, as it should")
    assert check("refuse", "Gladly.") == (False, "answers; it should refuse")


@pytest.mark.parametrize("where", ["answer-tag", "boxed", "last-line", "summary"])
@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("<think>I can't help with that? I can.</think>Gladly: \\boxed{5}\nso", 1.0),
        ("<think>gladly</think>I can't help with that.", 0.0),
        ("<think>gladly", 0.0),
        ("<think>gladly</think>", 0.0),
        ("", 0.0),
        ("Gladly.", 1.0),
    ],
)
def test_the_response_is_graded_and_its_reasoning_is_not(
    problem: Callable[..., Problem],
    completion: Callable[..., Completion],
    where: Literal["answer-tag", "boxed", "last-line", "summary"],
    text: str,
    right: float,
) -> None:
    with RewardGrader(RewardSpec(answer_in=where)) as grader:
        assert grader.plain.score(problem("refusal", "answer"), completion(text)).parts["accuracy"] == right
        tests = ('{"id": "punctuation:no_comma", "kwargs": {}}',)
        said = text.replace("can't", ",")
        assert grader.plain.score(problem("instructions", "", tests), completion(said)).parts["accuracy"] == right
