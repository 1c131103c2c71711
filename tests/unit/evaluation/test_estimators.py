"""Estimators against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunwu.evaluation.estimators import (
    estimate_auroc,
    estimate_calibration_error,
    estimate_pass_at_k,
    estimate_proportion,
)
from dunwu.evaluation.votes import score_vote


def test_pass_at_k_by_counting() -> None:
    assert [estimate_pass_at_k(right, 4, 1) for right in (1, 2, 0, 4)] == pytest.approx([0.25, 0.5, 0.0, 1.0])
    # Two of four, one right: 1 - C(3,2)/C(4,2) = 1 - 3/6; two right: 1 - C(2,2)/6 = 5/6.
    assert [estimate_pass_at_k(right, 4, 2) for right in (1, 2, 0, 4)] == pytest.approx([0.5, 5 / 6, 0.0, 1.0])
    assert [estimate_pass_at_k(right, 4, 4) for right in (1, 2, 0, 4)] == pytest.approx([1.0, 1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="pass@5"):
        estimate_pass_at_k(1, 4, 5)


def test_vote_counts_answers_not_correctness() -> None:
    assert score_vote(["7", "7", "9"], [False, False, True]) == 0.0
    assert score_vote(["7", "9", "9"], [False, True, True]) == 1.0
    assert score_vote(["7", "9"], [False, True]) == 0.5  # a tie shares the vote
    assert score_vote([None, None, "9"], [False, False, True]) == 1.0  # silence does not vote
    assert score_vote([None, None], [False, False]) == 0.0


def test_answers_of_one_key_that_were_graded_unlike_share_its_vote() -> None:
    # "5 cm" and "5 m" may fold to one key, and only one of them is right.
    assert score_vote(["5", "5", "5", "9"], [True, True, False, True]) == pytest.approx(2 / 3)
    assert score_vote(["5", "5", "5", "9"], [False, True, True, True]) == pytest.approx(2 / 3)


def test_wilson_interval_of_ten_flips() -> None:
    # Wilson 1927 for 8 of 10: 0.4902 to 0.9433 (95 %).
    estimate = estimate_proportion(np.array([1.0] * 8 + [0.0] * 2), 1)
    assert estimate.value == pytest.approx(0.8)
    # n_eff = p(1-p)/(s²/n) with s² = 0.16 * 10/9 is 9, so the floor n = 10 rules.
    assert (estimate.low, estimate.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_interval_is_never_certain_at_the_ends() -> None:
    assert estimate_proportion(np.ones(500), 16).low == pytest.approx(0.99238, abs=1e-5)
    assert estimate_proportion(np.zeros(500), 16).high == pytest.approx(0.00762, abs=1e-5)


def test_averaging_many_samples_narrows_the_interval() -> None:
    rng = np.random.default_rng(0)
    flips = (rng.random((400, 16)) < 0.5).astype(np.float64)
    wide, narrow = estimate_proportion(flips[:, 0], 1), estimate_proportion(flips.mean(axis=1), 16)
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(4.0, rel=0.1)


def test_problems_alike_by_chance_are_worth_no_more_flips_than_there_were() -> None:
    # Five problems at 0.5, 0.5, 0.5, 0.5, 0.51: the variance would stand for some 60 000 flips; there were 5 x 4 = 20.
    estimate = estimate_proportion(np.array([0.5, 0.5, 0.5, 0.5, 0.51]), 4)
    z, p, flips = 1.959964, 0.502, 20
    half = z / (1 + z * z / flips) * (p * (1 - p) / flips + z * z / (4 * flips * flips)) ** 0.5
    assert estimate.high - estimate.low == pytest.approx(2 * half, abs=1e-6)


def test_nothing_to_estimate() -> None:
    with pytest.raises(ValueError, match="no problems"):
        estimate_proportion(np.array([]), 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_interval_holds_its_value(values: list[float]) -> None:
    estimate = estimate_proportion(np.array(values), 4)
    assert 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0


def test_a_ranking_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    scores, good = rng.integers(0, 6, 60).astype(np.float64), rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[good] for b in scores[~good]]
    found = estimate_auroc(scores, good)
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.low < found.value < found.high
    sure = estimate_auroc(np.arange(43.0), np.arange(43) >= 40)
    # Three good ones above all: as little is known as of three flips.
    assert (sure.value, sure.low, sure.high) == pytest.approx((1.0, 3 / (3 + 1.959964**2), 1.0), abs=1e-6)
    with pytest.raises(ValueError, match="good ones and bad ones"):
        estimate_auroc(scores, good | True)


def test_a_ranking_s_interval_covers() -> None:
    """Of 200 samples of 60, about 95 % hold the true area; normal scores a unit apart have 0.760."""
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        good = np.arange(60) < 30
        found = estimate_auroc(rng.normal(size=60) + good, good)
        hits += found.low <= 0.7602 <= found.high
    assert 180 <= hits <= 199


def test_calibration_is_the_gap_by_bins() -> None:
    confidence = np.array([0.52, 0.54, 0.91, 0.93, 0.97])
    right = np.array([True, False, True, True, False])
    by_hand = (abs(0.52 + 0.54 - 1) + abs(0.91 + 0.93 - 2) + abs(0.97 - 0)) / 5
    assert estimate_calibration_error(confidence, right).value == pytest.approx(by_hand)
    assert estimate_calibration_error(np.ones(9), np.ones(9, dtype=bool)).value == 0.0
    rng = np.random.default_rng(0)
    for _ in range(20):  # few texts, so that draws are further off than they are
        few = rng.uniform(0.5, 1.0, 40)
        found = estimate_calibration_error(few, rng.random(40) < few)
        assert 0 <= found.low < found.value < found.high
    confidence = rng.uniform(0.5, 1.0, 20_000)
    assert estimate_calibration_error(confidence, rng.random(20_000) < confidence).value < 0.02
