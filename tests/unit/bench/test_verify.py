"""The verifier benchmark: what it measures is right, and it says what the command line prints."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from dunwu.bench import verify
from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.verifiers import RewardGrader


@pytest.mark.parametrize("make", [verify.make_math_pair, verify.make_expression_pair])
def test_about_half_of_the_answers_are_right_and_follow_the_format(
    make: Callable[[random.Random], verify.Pair],
) -> None:
    rng = random.Random(1)
    with RewardGrader(RewardSpec(timeout_seconds=20.0)) as grader:
        scores = [grader.score(*make(rng)) for _ in range(150)]
    assert {score.status for score in scores} == {"graded"}
    assert all(score.parts["format"] == 1.0 for score in scores)
    assert 0.35 < sum(score.parts["accuracy"] for score in scores) / len(scores) < 0.75


def test_both_sides_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "PAIRS", 3)
    monkeypatch.setattr(verify, "ROUNDS", 1)
    for result in verify.measure().values():
        assert result["ours"] > 0
        assert result["unit"] == "answers/s"
        assert result["ratio"] == pytest.approx(result["ours"] / result["peers"]["math-verify"])
        assert result["floor_share"] is None


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(UserError, match=r"--against: no such peer: sympy"):
        verify.measure(("sympy",))
