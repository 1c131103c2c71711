"""Change points: found where they are, and not where they are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest

from dunwu.analysis.aha import FEWEST, LEVEL, Evidence, group_moments
from dunwu.analysis.change_points import PERMUTATIONS, Change, Values, compute_window, find_changes
from dunwu.analysis.curves import ACCURACY, LENGTH, REFLECTIONS, STEPS, Measure


@pytest.mark.parametrize(("n", "size"), [(24, 3.0), (40, 2.5), (40, 3.0), (100, 2.0)])
def test_a_planted_jump_is_found_within_one_window_in_95_of_100_draws(n: int, size: float) -> None:
    """At the level at which ten series are tested together, by jumps of so many standard deviations."""
    rng = np.random.default_rng(n)
    found = 0
    for _ in range(100):
        place = int(rng.integers(n // 4, 3 * n // 4))
        values = rng.normal(size=n)
        values[place:] += size
        found += any(abs(change.place - place) <= compute_window(n) for change in find_changes(values, level=0.005))
    assert found >= 95


@pytest.mark.parametrize("noise", ["normal", "heavy tails", "one outlier", "permuted curve"])
def test_false_alarms_are_as_rare_as_stated_on_1000_permuted_series(noise: str) -> None:
    """A binomial 99.9 % bound above the stated 5 %: at most 73 of 1,000."""
    rng = np.random.default_rng(1)
    draw: dict[str, Callable[[], Values]] = {
        "normal": lambda: rng.normal(size=24),
        "heavy tails": lambda: rng.standard_cauchy(size=24),
        "one outlier": lambda: rng.permutation(np.r_[np.zeros(23), 9.0] + 0.01 * np.arange(24)),
        "permuted curve": lambda: rng.permutation(1 - 0.8 ** np.arange(24)),
    }
    alarms = sum(bool(find_changes(draw[noise](), level=0.05)) for _ in range(1000))
    assert alarms <= 73


def test_a_step_is_a_jump_and_a_ramp_a_climb() -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(scale=0.1, size=40)
    step = np.r_[np.zeros(20), np.ones(20)] + noise
    (jump,) = find_changes(step)
    assert (jump.kind, jump.place) == ("jump", 20)
    assert jump.first <= 20 <= jump.last
    assert jump.before == pytest.approx(step[:20].mean())
    assert jump.after == pytest.approx(step[20:].mean())
    noise_left = np.sqrt((((step[:20] - jump.before) ** 2).sum() + ((step[20:] - jump.after) ** 2).sum()) / 38)
    assert jump.size == pytest.approx((jump.after - jump.before) / noise_left)
    ramp = np.clip((np.arange(40) - 10) / 15, 0, 1) + noise
    (climb,) = find_changes(ramp)
    assert climb.kind == "climb"
    assert abs(climb.first - 10) <= 2
    assert abs(climb.last - 25) <= 2
    assert climb.before == pytest.approx(0.0, abs=0.1)
    assert climb.after == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("n", "width", "size"), [(24, 8, 6.0), (40, 12, 8.0), (100, 40, 6.0), (200, 60, 4.0)])
def test_ramps_are_told_as_one_climb_not_as_jumps(n: int, width: int, size: float) -> None:
    rng = np.random.default_rng(n)
    jumps = alone = 0
    for _ in range(100):
        start = int(rng.integers(2, n - width - 2))
        found = find_changes(np.clip((np.arange(n) - start) / width, 0, 1) * size + rng.normal(size=n), level=0.005)
        jumps += any(change.kind == "jump" for change in found)
        alone += len(found) == 1
    assert jumps <= 25
    assert alone >= 75


@pytest.mark.parametrize(("n", "size"), [(40, 3.0), (100, 2.0)])
def test_steps_are_told_as_jumps(n: int, size: float) -> None:
    rng = np.random.default_rng(n)
    told = 0
    for _ in range(100):
        place = int(rng.integers(n // 4, 3 * n // 4))
        told += [
            change.kind for change in find_changes((np.arange(n) >= place) * size + rng.normal(size=n), level=0.005)
        ] == ["jump"]
    assert told >= 88


def test_two_jumps_are_two_and_the_second_may_go_down() -> None:
    values = np.r_[np.zeros(15), np.full(15, 2.0), np.ones(15)] + np.random.default_rng(3).normal(scale=0.2, size=45)
    found = find_changes(values)
    assert [(change.place, change.kind) for change in found] == [(15, "jump"), (30, "jump")]
    assert found[0].size > 0 > found[1].size


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [5.0] * 30])
def test_too_short_or_constant_series_have_none(values: list[float]) -> None:
    assert find_changes(values) == []


def test_a_jump_without_any_noise() -> None:
    (change,) = find_changes([0.0] * 10 + [1.0] * 10)
    assert (change.place, change.size, change.kind) == (10, np.inf, "jump")


def test_the_same_series_gives_the_same_changes() -> None:
    values = np.random.default_rng(4).normal(size=30) + np.r_[np.zeros(15), np.ones(15)]
    assert find_changes(values) == find_changes(values)


def test_the_clearest_change_has_the_smallest_probability_that_permutations_can_give() -> None:
    values = [0.0, 0.1] * 12 + [9.0, 9.1] * 12
    (change,) = find_changes(values)
    assert change.p == 1 / (1 + PERMUTATIONS)


def test_the_probability_is_that_of_all_permutations() -> None:
    """All 720 orders of six values, against the mean over 400 seeds: the early stop is not biased."""
    values = [0.3, 1.9, 0.8, 2.2, 1.1, 2.9]

    def largest(order: Sequence[float]) -> float:
        splits = (np.sqrt(k * (6 - k)) * abs(np.mean(order[k:]) - np.mean(order[:k])) for k in (2, 3, 4))
        return float(max(splits))

    exact = np.mean([largest(order) >= largest(values) * (1 - 1e-12) for order in permutations(values)])
    found = [change.p for seed in range(400) for change in find_changes(values, level=1.0, seed=seed)[:1]]
    assert len(found) == 400
    assert np.mean(found) == pytest.approx(exact, abs=4 * float(np.std(found)) / 20)


def test_as_few_rollouts_as_can_tell_a_clean_step_from_chance() -> None:
    """At the level at which ten series are tested together."""
    found = {n: find_changes([0.0] * (n // 2) + [1.0] * (n - n // 2), level=LEVEL / 10) for n in (10, FEWEST)}
    assert [len(told) for told in found.values()] == [0, 1]


def evidence(measure: Measure, start: int, end: int, size: float = 5.0) -> Evidence:
    change = Change(place=start + 1, first=start, last=end, before=0.0, after=1.0, size=size, p=0.001, kind="climb")
    return Evidence(measure=measure, change=change, updates=(start, end))


def test_a_moment_is_a_rise_of_reflection_with_what_changes_in_its_time_alone() -> None:
    rise, later = evidence(REFLECTIONS, 4, 12, 8.0), evidence(REFLECTIONS, 60, 70)
    near, far, both = evidence(ACCURACY, 8, 16), evidence(LENGTH, 16, 40), evidence(STEPS, 64, 80)
    moments = group_moments([later, far, near, both, rise])
    assert [(moment.lead, moment.others) for moment in moments] == [(rise, (near,)), (later, (both,))]
    assert group_moments([near, evidence(REFLECTIONS, 4, 12, -8.0)]) == [], "reflection fell"
