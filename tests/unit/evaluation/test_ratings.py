"""Ratings, win rates and strengths against numbers worked out by hand, and what must not change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from dunwu.evaluation import ratings
from dunwu.evaluation.ratings import (
    Battle,
    Comparison,
    Contest,
    compute_percentile,
    estimate_contest_rating,
    estimate_length_controlled_win_rate,
    estimate_win_rate,
    fit_strengths,
    solve_rating,
)

Z = 1.959964


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "DRAWS", 200)


def test_a_rating_by_hand() -> None:
    # Second between 1500 and 1900: by symmetry in the middle.
    assert solve_rating(2, np.array([1500.0, 1900.0])) == pytest.approx(1700.0)
    # Of nine at 1500 one above: 9 / (1 + 10^x) = 1, so x = log10 8. Of nine none above counts as half: log10 17.
    nine = np.full(9, 1500.0)
    assert solve_rating(2, nine) == pytest.approx(1500 + 400 * np.log10(8))
    assert solve_rating(1, nine) == pytest.approx(1500 + 400 * np.log10(17))
    assert solve_rating(10, nine) == pytest.approx(1500 - 400 * np.log10(17))
    assert solve_rating(1, np.array([1234.0])) == pytest.approx(1234.0)


@given(st.lists(st.integers(400, 3800), min_size=2, max_size=40), st.data())
@settings(deadline=None)
def test_the_rating_expects_the_rank(people: list[int], data: st.DataObject) -> None:
    rank = data.draw(st.integers(2, len(people)))
    others = np.array(people, np.float64)
    rating = solve_rating(rank, others)
    assert 1 + np.sum(1 / (1 + 10 ** ((rating - others) / 400))) == pytest.approx(rank, abs=1e-6)
    assert solve_rating(rank - 1, others) > rating > solve_rating(rank + 1, others)
    assert solve_rating(rank, others + 150) == pytest.approx(rating + 150, abs=1e-6)


@pytest.mark.parametrize(("rank", "people"), [(0, 3), (5, 3), (1, 0), (float("nan"), 3)])
def test_no_such_rank(rank: float, people: int) -> None:
    with pytest.raises(ValueError, match="no rank"):
        solve_rating(rank, np.full(people, 1500.0))


def test_contests_make_a_mean_and_people_a_percentile() -> None:
    people = np.array([1500.0, 1900.0])
    found = estimate_contest_rating([Contest(rank=2, ratings=people + shift) for shift in (0, 100, 200)])
    # 1700, 1800, 1900: s = 100, t(0.975, 2) = 4.30265.
    assert (found.value, found.low) == pytest.approx((1800.0, 1800 - 4.30265 * 100 / 3**0.5), abs=1e-3)
    assert compute_percentile(1800, np.array([1500.0, 1700, 1800, 2000])) == 0.625
    with pytest.raises(ValueError, match="nobody"):
        compute_percentile(1800, np.array([]))


def compare(first: float, second: float, longer: int = 0, name: str = "q") -> Comparison:
    return Comparison(question=name, first=first, second=second, length=1000 + longer, other_length=1000)


def test_both_orders_make_a_verdict() -> None:
    found = estimate_win_rate([compare(1, 1), compare(0, 0), compare(1, 0.5), compare(1, 0)])
    assert found.rate.value == pytest.approx((1 + 0 + 0.75 + 0.5) / 4)
    assert found.inconsistent.value == 0.25
    first = estimate_win_rate([compare(1, 0)] * 50)
    assert (first.rate.value, first.inconsistent.value) == (0.5, 1.0)
    sure = estimate_win_rate([compare(1, 1)] * 50).rate
    assert (sure.low, sure.high) == pytest.approx((50 / (50 + Z * Z), 1.0))


def two_lengths(long: float, short: float) -> list[Comparison]:
    """1000 questions with the longer answer ours, which wins ``long`` of them, and 1000 with it the other's."""
    wins = np.arange(1000) / 1000
    return [compare(w, w, 300) for w in (wins < long) * 1.0] + [compare(w, w, -300) for w in (wins < short) * 1.0]


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_half_way_between_longer_and_shorter_is_equal_length() -> None:
    # With two lengths the model fits both shares, theta +- beta tanh(1), so theta is the mean of their log-odds.
    theta = (logit(0.8) + logit(0.4)) / 2
    found = estimate_length_controlled_win_rate(two_lengths(0.8, 0.4))
    assert found.value == pytest.approx(1 / (1 + np.exp(-theta)), abs=1e-4)
    assert found.low < found.value < found.high < found.low + 0.1


def uneven(n: int, seed: int = 0) -> list[Comparison]:
    """Ours is mostly longer, and the judge likes long answers; at equal length it wins 40 %."""
    rng = np.random.default_rng(seed)
    longer = rng.normal(300, 400, n)
    chance = 1 / (1 + np.exp(-(logit(0.4) + np.tanh(longer / np.std(longer, ddof=1)))))
    verdicts = (rng.random(n) < chance).astype(float)
    return [compare(v, v, int(length)) for v, length in zip(verdicts, longer, strict=True)]


def test_length_is_taken_out() -> None:
    comparisons = uneven(4000)
    assert estimate_win_rate(comparisons).rate.value > 0.48
    assert estimate_length_controlled_win_rate(comparisons).value == pytest.approx(0.4, abs=0.025)


def test_equal_length_is_fitted_as_published() -> None:
    """The likelihood of preferences under theta + beta tanh(difference / its deviation), searched without gradients."""
    comparisons = uneven(200)
    wins = np.array([one.first for one in comparisons])
    longer = np.array([one.length - one.other_length for one in comparisons])
    length = np.tanh(longer / np.std(longer, ddof=1))

    def loss(at: np.ndarray) -> float:
        chance = 1 / (1 + np.exp(-(at[0] + at[1] * length)))
        return float(-np.log(np.where(wins == 1, chance, 1 - chance)).sum() + ratings.RIDGE / 2 * (at @ at))

    theta = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x[0]
    assert estimate_length_controlled_win_rate(comparisons).value == pytest.approx(1 / (1 + np.exp(-theta)), abs=1e-6)


def test_the_interval_of_equal_length_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "DRAWS", 100)
    hits = 0
    for seed in range(40):
        found = estimate_length_controlled_win_rate(uneven(150, seed), seed)
        hits += found.low <= 0.4 <= found.high
    assert hits >= 34  # 95 % of 40 is 38; four fewer is three standard errors


def test_what_does_not_matter_at_equal_length() -> None:
    comparisons = uneven(300)
    value = estimate_length_controlled_win_rate(comparisons).value
    tenfold = [replace(one, length=one.length * 10, other_length=one.other_length * 10) for one in comparisons]
    assert estimate_length_controlled_win_rate(tenfold).value == pytest.approx(value, abs=1e-9)
    swapped = [
        replace(one, first=1 - one.first, second=1 - one.second, length=one.other_length, other_length=one.length)
        for one in comparisons
    ]
    assert estimate_length_controlled_win_rate(swapped).value == pytest.approx(1 - value, abs=1e-9)
    alike = [replace(one, length=7, other_length=7) for one in comparisons]
    assert estimate_length_controlled_win_rate(alike).value == pytest.approx(
        estimate_win_rate(alike).rate.value, abs=1e-3
    )
    for first in (0, 1):  # with nothing but wins, or nothing but ties, there is nothing to explain
        same = [compare(1, first, n) for n in range(50)]
        assert estimate_length_controlled_win_rate(same) == estimate_win_rate(same).rate


def battles(left: str, right: str, scores: Sequence[float]) -> list[Battle]:
    return [Battle(question=f"{left}{right}{n}", left=left, right=right, score=s) for n, s in enumerate(scores)]


def test_three_of_four_are_191_points() -> None:
    found = fit_strengths(battles("a", "b", [1, 1, 1, 0] * 100))
    assert list(found) == ["a", "b"]
    assert found["a"].value - found["b"].value == pytest.approx(400 * np.log10(3), abs=0.1)
    assert (found["a"].value + found["b"].value) / 2 == pytest.approx(1000)
    # The log-odds' standard error is 1 / sqrt(400 x 3/16), in points x 400 / ln 10; half of it for each.
    half = 1.96 * 75**-0.5 * 400 / np.log(10) / 2
    assert found["a"].high - found["a"].low == pytest.approx(2 * half, rel=0.2)


def test_ties_and_cycles_are_level() -> None:
    tied = fit_strengths(battles("a", "b", [0.5] * 10))
    circle = fit_strengths(battles("a", "b", [1] * 5) + battles("b", "c", [1] * 5) + battles("c", "a", [1] * 5))
    assert [one.value for one in (*tied.values(), *circle.values())] == pytest.approx([1000.0] * 5)
    halves = fit_strengths(battles("a", "b", [1, 1, 0.5, 0.5]))
    wins = fit_strengths(battles("a", "b", [1, 1, 1, 0]))
    assert halves["a"].value == pytest.approx(wins["a"].value)


def tournament() -> list[Battle]:
    rng = np.random.default_rng(0)
    strength = dict(zip("abcd", (0.0, 0.4, 0.8, 1.6), strict=True))
    drawn = []
    for n in range(400):
        left, right = map(str, rng.choice(list("abcd"), 2, replace=False))
        chance = 1 / (1 + np.exp(strength[right] - strength[left]))
        drawn.append(Battle(question=f"q{n}", left=left, right=right, score=float(rng.random() < chance)))
    return drawn


def test_strengths_expect_the_wins_that_there_were() -> None:
    """The likelihood's own equations: for each model, expected wins are wins."""
    fought, found = tournament(), fit_strengths(tournament())
    assert list(found) == ["d", "c", "b", "a"]
    for name in found:
        surplus = 0.0
        for one in fought:
            if name in (one.left, one.right):
                chance = 1 / (1 + 10 ** ((found[one.right].value - found[one.left].value) / 400))
                surplus += (one.score - chance) * (1 if name == one.left else -1)
        assert surplus == pytest.approx(0.0, abs=0.02)  # RIDGE x a coefficient


def test_who_stands_left_does_not_matter() -> None:
    fought = tournament()
    swapped = [replace(one, left=one.right, right=one.left, score=1 - one.score) for one in fought]
    for name, estimate in fit_strengths(swapped).items():
        again = fit_strengths(fought)[name]
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((again.value, again.low, again.high))


def test_questions_are_drawn_with_all_their_battles() -> None:
    fought = tournament()
    once, twice = fit_strengths(fought)["d"], fit_strengths([one for one in fought for _ in range(4)])["d"]
    apart = fit_strengths([replace(one, question=f"{one.question} {n}") for one in fought for n in range(4)])["d"]
    assert twice.high - twice.low == pytest.approx(once.high - once.low, rel=0.02)
    assert apart.high - apart.low == pytest.approx((once.high - once.low) / 2, rel=0.2)


def test_who_never_lost_is_not_sure_to_be_out_of_reach() -> None:
    found = fit_strengths(battles("a", "b", [1] * 10) + battles("b", "c", [1, 0] * 30))
    # 10 of 10: Wilson's lower end is 10 / (10 + z^2), odds of 10 to z^2.
    assert found["a"].low - 1000 == pytest.approx(400 * np.log10(10 / Z**2) * 2 / 3, abs=2)
    assert found["a"].value > found["a"].low + 200
    assert found["b"].high - found["b"].value > 100
    single = battles("a", "b", [1] * 10)
    again = fit_strengths([one for one in single for _ in range(3)])["a"]  # no more questions, however often asked
    assert again.low == pytest.approx(fit_strengths(single)["a"].low, abs=1)


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="no battles join a and c"):
        fit_strengths(battles("a", "b", [1, 0]) + battles("c", "d", [1, 0]))
    with pytest.raises(ValueError, match="no battles"):
        fit_strengths([])
    with pytest.raises(ValueError, match="a meets itself"):
        fit_strengths(battles("a", "a", [1]))
