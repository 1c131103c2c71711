"""Every gold of the real data sets scores 1 against itself, respelled too, and near misses score 0."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import pytest
from tests.unit.verifiers.conftest import SETS, golds

from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader
from dunwu.verifiers.math.answers import same_literal


@pytest.fixture
def accuracy(
    grader: RewardGrader, problem: Callable[..., Problem], completion: Callable[..., Completion]
) -> Callable[[str, str], float]:
    """Grades an answer written in an answer tag."""

    def graded(gold: str, answer: str) -> float:
        score = grader.score(problem("math", gold), completion(f"<think>so</think><answer>{answer}</answer>"))
        assert score.status == "graded", score
        return score.parts["accuracy"]

    return graded


@pytest.mark.parametrize(("name", "rows"), SETS.items())
def test_every_gold_equals_itself_bare_and_boxed(accuracy: Callable[[str, str], float], name: str, rows: int) -> None:
    answers = golds(name)
    assert sum(accuracy(gold, gold) for gold in answers) == rows
    assert sum(accuracy(gold, rf"The answer is $\boxed{{{gold}}}$.") for gold in answers) == rows


RENDERINGS = [
    ("boxed", r"So we get $\boxed{{{}}}$."),
    ("boxed", r"First $\boxed{{17}}$, but no: \[ \boxed{{{}}} \]"),
    ("answer-tag", "<think>so</think> <answer>{}</answer>"),
    ("answer-tag", "<think>so</think> <answer>The answer is {}.</answer>"),
    ("answer-tag", "<think>so</think> <answer>答案是{}。</answer>"),
    ("last-line", "so\nThe answer is {}."),
    ("last-line", "Therefore, the final answer is: ${}$."),
    ("last-line", "所以答案是{}。"),
]


@pytest.mark.parametrize(("where", "sentence"), RENDERINGS)
@pytest.mark.parametrize("name", SETS)
def test_every_gold_scores_in_every_rendering(
    problem: Callable[..., Problem],
    completion: Callable[..., Completion],
    name: str,
    where: Literal["boxed", "answer-tag", "last-line"],
    sentence: str,
) -> None:
    with RewardGrader(RewardSpec(answer_in=where, timeout_seconds=20.0)) as grader:
        scores = [grader.score(problem("math", gold), completion(sentence.format(gold))) for gold in golds(name)]
    assert [score.reason for score in scores if score.parts["accuracy"] != 1.0] == []
    assert len(scores) == SETS[name]


@pytest.mark.parametrize("name", ["gsm8k_test", "aime24", "amc23", "cmath"])
def test_every_number_is_a_written_number(name: str) -> None:
    assert [gold for gold in golds(name) if not same_literal(gold, gold)] == []


def respelled(gold: str) -> str:
    """The same answer as another author writes it."""
    text = re.sub(r"\\frac(?=\{)", r"\\dfrac", gold).replace(r"\sqrt{", r"\sqrt {").replace("^\\circ", "^{\\circ}")
    return " " + re.sub(r"([+=])", r" \1 ", text).replace("(", r"\left(").replace(")", r"\right)")


@pytest.mark.parametrize("name", ["own", "math500"])
def test_every_gold_of_math_equals_itself_respelled(accuracy: Callable[[str, str], float], name: str) -> None:
    assert [gold for gold in golds(name) if accuracy(gold, respelled(gold)) != 1.0] == []


def near_misses(gold: str) -> set[str]:
    """One more, the other sign, two digits swapped: in each number of the answer, never the same value."""
    misses = set()
    for match in re.finditer(r"(?<![\d_{.,])\d+(?![\d,])", gold):
        before, digits, after = gold[: match.start()], match[0], gold[match.end() :]
        misses.add(f"{before}{int(digits) + 1}{after}")
        if len(digits) > 1 and digits[0] != digits[1] and digits[1] != "0":
            misses.add(before + digits[1] + digits[0] + digits[2:] + after)
    if re.fullmatch(r"\d+|\\frac\{\d+\}\{\d+\}|\d*\\sqrt\{\d+\}", gold) and gold != "0":
        misses.add("-" + gold)
    return misses


@pytest.mark.parametrize("name", SETS)
def test_near_misses_are_rejected(accuracy: Callable[[str, str], float], name: str) -> None:
    pairs = [(gold, miss) for gold in dict.fromkeys(golds(name)) for miss in sorted(near_misses(gold))]
    assert len(pairs) > 20
    assert [pair for pair in pairs if accuracy(*pair) != 0.0] == []
