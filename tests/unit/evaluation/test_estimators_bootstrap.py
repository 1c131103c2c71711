"""Intervals by bootstrap, expected votes and paired tests: by enumeration, by hand, and by what chances promise."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dunwu.evaluation import estimators
from dunwu.evaluation.estimators import bootstrap_mean, compare_pairs, estimate_pass_at_k, estimate_proportion
from dunwu.evaluation.votes import average_vote, score_vote
from dunwu.metrics import estimate_mean

Z = 1.959964


def bools(size: int) -> st.SearchStrategy[list[bool]]:
    return st.lists(st.booleans(), min_size=size, max_size=size)


@st.composite
def samples(draw: st.DrawFn, most: int = 9) -> tuple[list[str | None], list[bool]]:
    """The answers to one problem, and whether each is right."""
    answers = draw(st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=most))
    return answers, draw(bools(len(answers)))


def subsets(k: int, m: int) -> list[tuple[int, ...]]:
    return list(itertools.combinations(range(k), m))


def test_resampling_right_and_wrong_is_flipping_coins() -> None:
    # 8 of 20: means of resamples are Binomial(20, 0.4) / 20, whose 2.5 % and 97.5 % quantiles are 4 and 12 of 20.
    estimate = bootstrap_mean(np.repeat([1.0, 0.0], [8, 12]), "share")
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.4, 0.2, 0.6))


def test_the_interval_is_that_of_drawing_problems_one_by_one() -> None:
    values = np.random.default_rng(1).gamma(2.0, 1000.0, 40)
    drawn = values[np.random.default_rng(2).integers(40, size=(40_000, 40))].mean(axis=1)
    found = bootstrap_mean(values, "amount")
    scale = np.diff(np.quantile(drawn, [0.025, 0.975])).item()
    assert found.value == values.mean()
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02 * scale)
    assert estimators._resample_means(values, 0).std() == pytest.approx(lm_eval_stderr(values) * (39 / 40) ** 0.5, 0.02)


def test_problems_that_are_all_alike_are_no_certainty() -> None:
    for n in (1, 30, 500):
        for value in (0.0, 1.0):
            found, wilson = bootstrap_mean(np.full(n, value), "share"), estimate_proportion(np.full(n, value), 1)
            assert (found.low, found.value, found.high) == pytest.approx((wilson.low, value, wilson.high))
        rest = Z * Z / (n + Z * Z)
        same = bootstrap_mean(np.zeros(n), "difference")
        assert (same.low, same.high) == pytest.approx((-rest, rest), abs=1e-6)
        half = bootstrap_mean(np.full(n, 0.5), "share")
        assert (half.low, half.high) == pytest.approx((0.5 - rest / 2, 0.5 + rest / 2), abs=1e-6)
    seven = bootstrap_mean(np.full(30, 7.0), "amount")
    assert (seven.low, seven.value, seven.high) == (7.0, 7.0, 7.0)


def test_values_are_of_their_kind() -> None:
    with pytest.raises(ValueError, match="no problems"):
        bootstrap_mean(np.array([]), "share")
    with pytest.raises(ValueError, match=r"a share lies between 0\.0 and 1\.0"):
        bootstrap_mean(np.array([0.5, 1.5]), "share")
    with pytest.raises(ValueError, match="a share"):
        bootstrap_mean(np.array([0.5, math.nan]), "share")
    assert bootstrap_mean(np.array([-1.0, 1.0]), "difference").value == 0.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_an_interval_holds_its_value_and_heeds_no_order(values: list[float]) -> None:
    found = bootstrap_mean(np.array(values), "share")
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    mixed = bootstrap_mean(np.array(sorted(values)), "share")
    assert (mixed.low, mixed.value, mixed.high) == pytest.approx((found.low, found.value, found.high), abs=1e-12)


def test_a_seed_is_an_interval_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    once = bootstrap_mean(values, "share", 3)
    monkeypatch.setattr(estimators, "CELLS", 1000)
    assert bootstrap_mean(values, "share", 3) == once
    assert bootstrap_mean(values, "share", 4) != once


def test_ten_thousand_problems_take_no_hundred_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimators, "MEAN_DRAWS", 1500)  # 120 MB at once
    monkeypatch.setattr(estimators, "FLIPS", 1500)
    values = np.random.default_rng(0).random(10_000)
    tracemalloc.start()
    try:
        compare_pairs(values, values[::-1])
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("between", ["all or nothing", "all alike"])
def test_a_bootstrap_interval_covers(p: float, between: str) -> None:
    """200 problems, 16 samples each; of 300 sets 92 to 98 % hold the truth (three standard errors are 3.8 %)."""
    rng, hits = np.random.default_rng(0), 0
    for seed in range(300):
        drawn = rng.random(200) < p if between == "all or nothing" else rng.binomial(16, p, 200) / 16
        found = bootstrap_mean(drawn.astype(np.float64), "share", seed)
        hits += found.low <= p + 1e-12 and p - 1e-12 <= found.high
    assert 0.91 <= hits / 300 <= 0.985


def test_hardly_any_right_is_no_certainty_either() -> None:
    """30 problems of which one in 50 is right: most sets have none, and their interval must still hold 0.02."""
    rng = np.random.default_rng(0)
    hits = [bootstrap_mean((rng.random(30) < 0.02).astype(np.float64), "share").high >= 0.02 for _ in range(200)]
    assert np.mean(hits) > 0.93


@given(samples())
@settings(deadline=None)
def test_an_expected_vote_is_the_mean_over_all_subsets(drawn: tuple[list[str | None], list[bool]]) -> None:
    answers, right = drawn
    for m in range(1, len(answers) + 1):
        by_hand = np.mean(
            [score_vote([answers[i] for i in s], [right[i] for i in s]) for s in subsets(len(answers), m)]
        )
        assert average_vote(answers, right, m) == pytest.approx(by_hand, abs=1e-12)


def test_an_expected_vote_by_hand() -> None:
    # Of 7 7 9 (9 is right) one: 1/3; two: 77, 79, 79: 0, 1/2, 1/2.
    votes = [average_vote(["7", "7", "9"], [False, False, True], m) for m in (1, 2, 3)]
    assert votes == pytest.approx([1 / 3, 1 / 3, 0.0])
    assert average_vote([None, None, "9"], [False, False, True], 2) == pytest.approx(2 / 3)
    assert average_vote([None], [False], 1) == 0.0
    with pytest.raises(ValueError, match="cons@3"):
        average_vote(["7", "9"], [False, True], 3)


def test_cons_64_of_given_samples_is_their_vote() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        answers = [None if answer == 0 else str(answer) for answer in rng.integers(6, size=64)]
        right = [answer in ("1", "2") for answer in answers]
        assert average_vote(answers, right, 64) == pytest.approx(score_vote(answers, right), abs=1e-12)
        sets = [rng.choice(64, 32, replace=False) for _ in range(2000)]
        drawn = [score_vote([answers[i] for i in s], [right[i] for i in s]) for s in sets]
        error = max(float(np.std(drawn)), 0.02) / 2000**0.5
        assert average_vote(answers, right, 32) == pytest.approx(np.mean(drawn), abs=5 * error)


def test_thousands_of_samples_vote_without_overflow() -> None:
    answers = [str(place % 3) for place in range(2001)]
    # Three answers of 667 each: any is as likely to win.
    assert average_vote(answers, [answer == "0" for answer in answers], 101) == pytest.approx(1 / 3, abs=1e-9)


@given(st.integers(1, 9), st.data())
@settings(deadline=None)
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(drawn: int, data: st.DataObject) -> None:
    right = data.draw(bools(drawn))
    for k in range(1, drawn + 1):
        passed = np.mean([any(right[i] for i in s) for s in subsets(drawn, k)])
        assert estimate_pass_at_k(sum(right), drawn, k) == pytest.approx(passed, abs=1e-12)


def lm_eval_pass_at_k(n: int, c: int, k: int) -> float:
    """As in lm-eval 0.4.13, tasks/cruxeval/utils.py (`_pass_at_k`), the form of Chen et al. 2021, figure 3."""
    return 1.0 if n - c < k else float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def lm_eval_stderr(values: Sequence[float] | np.ndarray) -> float:
    """As in lm-eval 0.4.13, api/metrics.py (`mean_stderr`): of acc, exact_match and pass@k alike."""
    centre = sum(values) / len(values)
    return math.sqrt(sum((x - centre) ** 2 for x in values) / (len(values) - 1)) / math.sqrt(len(values))


def test_agrees_with_lm_evaluation_harness() -> None:
    for n, k in itertools.product((1, 4, 16, 64), (1, 2, 8, 64)):
        if k <= n:
            ours = [estimate_pass_at_k(c, n, k) for c in range(n + 1)]
            assert ours == pytest.approx([lm_eval_pass_at_k(n, c, k) for c in range(n + 1)], abs=1e-9)
    rng = np.random.default_rng(0)
    accuracies = rng.binomial(16, 0.3, 200) / 16
    assert bootstrap_mean(accuracies, "share").value == pytest.approx(sum(accuracies) / 200, abs=1e-9)
    student = estimate_mean(accuracies)
    half = stats.t.ppf(0.975, 199) * lm_eval_stderr(accuracies)
    assert (student.low, student.high) == pytest.approx((student.value - half, student.value + half), abs=1e-9)
    found = bootstrap_mean(accuracies, "share")
    assert (found.high - found.low) / 2 == pytest.approx(Z * lm_eval_stderr(accuracies), rel=0.03)


def test_sign_flips_by_hand() -> None:
    # 1 1 1: of the 8 sums only 3 and -3 are as extreme. Problems that did not change say nothing.
    found = compare_pairs(np.zeros(30), np.repeat([1.0, 0.0], [3, 27]))
    assert found.p == 0.25
    assert found.difference.value == pytest.approx(0.1)
    assert compare_pairs(np.zeros(16), np.ones(16)).p == 2 / 2**16
    # 1/2, -1/4, -1/4 sum to 0, as every sum is at least as extreme as.
    assert compare_pairs(np.array([0.0, 0.5, 0.5]), np.array([0.5, 0.25, 0.25])).p == 1.0
    same = compare_pairs(np.ones(30), np.ones(30))
    assert same.p == 1.0
    assert same.difference.low < 0 < same.difference.high
    with pytest.raises(ValueError, match="3 problems before, 2 after"):
        compare_pairs(np.zeros(3), np.zeros(2))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=7), st.data())
@settings(max_examples=40, deadline=None)
def test_the_exact_test_counts_all_flips(before: list[int], data: st.DataObject) -> None:
    after = data.draw(st.lists(st.integers(0, 4), min_size=len(before), max_size=len(before)))
    changes = [b - a for a, b in zip(before, after, strict=True)]
    sums = [
        abs(sum(s * c for s, c in zip(signs, changes, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(changes))
    ]
    one, other = np.array(before) / 4, np.array(after) / 4
    assert compare_pairs(one, other).p == pytest.approx(np.mean([total >= abs(sum(changes)) for total in sums]))
    assert compare_pairs(other, one).p == compare_pairs(one, other).p


def test_random_flips_are_near_the_sign_test() -> None:
    before, after = np.zeros(40), np.repeat([1.0, 0.0], [20, 20])
    before[20:28] = 1.0  # 20 better, 8 worse, 12 the same
    assert compare_pairs(before, after).p == pytest.approx(stats.binomtest(20, 28).pvalue, abs=0.003)
    sure = compare_pairs(np.zeros(60), np.ones(60))
    assert sure.p == 1 / (1 + estimators.FLIPS)
    assert sure.difference.low == pytest.approx(1 - 2 * Z * Z / (60 + Z * Z), abs=1e-6)


def test_a_paired_test_is_seldom_wrong_where_nothing_changed() -> None:
    rng = np.random.default_rng(0)
    p = np.array([compare_pairs(*rng.random((2, 10))).p for _ in range(400)])
    # Uniform in steps of 2 / 2^10; three standard errors are 0.033 and 0.075.
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.033)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.075)
