"""Advantages against numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunwu.algorithms.group_baselines import GroupAdvantage, group_mean, group_std, leave_one_out

BASELINES = (group_std, group_mean, leave_one_out)


def test_group_std_divides_by_the_population_std() -> None:
    # Mean 0.25, variance (3 x 0.0625 + 0.5625) / 4 = 0.1875.
    expected = [0.75 / 0.1875**0.5] + [-0.25 / 0.1875**0.5] * 3
    np.testing.assert_allclose(group_std(np.array([1.0, 0.0, 0.0, 0.0])), expected, rtol=1e-6)


def test_group_mean_only_centres() -> None:
    np.testing.assert_allclose(group_mean(np.array([2.0, 1.0, 0.0, 1.0])), [1.0, 0.0, -1.0, 0.0], atol=1e-7)


def test_leave_one_out_compares_with_the_others() -> None:
    # Against the mean of the three others: 1 - 0, 0 - 1/3.
    np.testing.assert_allclose(leave_one_out(np.array([1.0, 0.0, 0.0, 0.0])), [1.0, -1 / 3, -1 / 3, -1 / 3], rtol=1e-6)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("rewards", [[0.0] * 4, [1.0] * 4, [0.3, 0.1 + 0.2, 0.3, 0.3]])
def test_a_uniform_group_teaches_nothing(baseline: GroupAdvantage, rewards: list[float]) -> None:
    assert baseline(np.array(rewards)).tolist() == [0.0] * 4


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=16))
def test_advantages_are_finite_and_add_up_to_nothing(rewards: list[float]) -> None:
    for baseline in BASELINES:
        values = baseline(np.array(rewards)).astype(np.float64)
        assert np.isfinite(values).all()
        assert abs(values.sum()) < 1e-4
