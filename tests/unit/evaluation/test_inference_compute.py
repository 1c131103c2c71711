"""Accuracy against thinking tokens and votes, worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dunwu.evaluation.inference_compute import (
    Attempt,
    bin_by_thinking,
    estimate_vote_accuracies,
)
from dunwu.evaluation.votes import score_vote


def attempt(problem: str, thinking: int, right: bool, answer: str | None = "1") -> Attempt:
    return Attempt(problem=problem, thinking=thinking, answer=answer, right=right)


def test_a_bin_is_the_mean_over_its_problems() -> None:
    attempts = [
        *[attempt("a", tokens, right) for tokens, right in [(10, True), (20, True), (30, False), (400, False)]],
        *[attempt("b", tokens, right) for tokens, right in [(40, False), (500, True), (600, True), (700, False)]],
    ]
    short, long = bin_by_thinking(attempts, bins=2)
    # Shorter half: a 2 of 3, b 0 of 1. Longer half: a 0 of 1, b 2 of 3.
    assert (short.lowest, short.highest, short.thinking) == (10, 40, 25.0)
    assert (short.attempts, short.problems) == (4, 2)
    assert short.accuracy.value == pytest.approx((2 / 3 + 0) / 2)
    assert (long.lowest, long.highest, long.thinking) == (400, 700, 550.0)
    assert long.accuracy.value == pytest.approx((0 + 2 / 3) / 2)
    assert (long.accuracy.low, long.accuracy.high) == pytest.approx((0.0, 2 / 3))


def test_bins_hold_every_attempt_once_and_about_as_many() -> None:
    rng = np.random.default_rng(0)
    attempts = [attempt(f"p{n % 50}", int(tokens), True) for n, tokens in enumerate(rng.lognormal(8, 1, 1000))]
    bins = bin_by_thinking(attempts, bins=10)
    assert sum(one.attempts for one in bins) == 1000
    assert all(90 <= one.attempts <= 110 for one in bins)
    assert all(left.highest < right.lowest for left, right in itertools.pairwise(bins))


def test_thoughts_of_one_length_stay_together() -> None:
    (only,) = bin_by_thinking([attempt("a", 7, True), attempt("b", 7, False)] * 20)
    assert (only.lowest, only.highest, only.attempts, only.accuracy.value) == (7, 7, 40, 0.5)
    cut = [attempt("a", 100, True)] * 30 + [attempt("a", tokens, False) for tokens in (5, 6)]
    assert [(one.lowest, one.highest, one.attempts) for one in bin_by_thinking(cut, bins=4)] == [(5, 100, 32)]
    with pytest.raises(ValueError, match="no attempts"):
        bin_by_thinking([])


def test_votes_are_the_mean_of_all_votes() -> None:
    rng = np.random.default_rng(0)
    answers = {f"p{n}": [str(answer) for answer in rng.integers(3, size=6 + n % 2)] for n in range(8)}
    attempts = [attempt(name, 1, one == "1", one) for name, given in answers.items() for one in given]
    curve = estimate_vote_accuracies(attempts)
    assert [point.m for point in curve] == [1, 2, 4, 6]
    for point in curve:
        votes = [
            np.mean([score_vote(part, [one == "1" for one in part]) for part in itertools.combinations(given, point.m)])
            for given in answers.values()
        ]
        assert point.accuracy.value == pytest.approx(np.mean(votes), abs=1e-12)
        assert point.accuracy.low < point.accuracy.value < point.accuracy.high
    with pytest.raises(ValueError, match="no attempts"):
        estimate_vote_accuracies([])


def test_silence_does_not_vote() -> None:
    attempts = [attempt("a", 1, False, None), attempt("a", 1, False, None), attempt("a", 1, True, "1")]
    assert [point.accuracy.value for point in estimate_vote_accuracies(attempts)] == pytest.approx([1 / 3, 2 / 3, 1.0])
