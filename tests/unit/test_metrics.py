"""Means and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from dunwu.metrics import EffectiveShare, Mean, combine, estimate_mean, reduce


def test_t_interval() -> None:
    estimate = estimate_mean(np.array([1.0, 2.0, 3.0, 4.0]))
    # t(0.975, 3) = 3.18245, s = 1.29099: half width 2.05427.
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((2.5, 0.44573, 4.55427), abs=1e-4)


def test_no_interval_of_a_count_goes_below_zero() -> None:
    # s = 1, n = 3: the half width 4.30265 / sqrt 3 = 2.48 exceeds the mean of 2.
    estimate = estimate_mean([1.0, 2.0, 3.0], lowest=0.0)
    assert (estimate.low, estimate.high) == pytest.approx((0.0, 4.48414), abs=1e-4)


def test_no_interval_of_a_share_goes_above_one() -> None:
    assert estimate_mean([1.0, 1.0, 0.7], lowest=0.0, highest=1.0).high == 1.0


def test_a_single_value_has_no_interval_and_none_no_mean() -> None:
    alone = estimate_mean([0.7])
    assert (alone.low, alone.value, alone.high) == (0.7, 0.7, 0.7)
    with pytest.raises(ValueError, match="no values"):
        estimate_mean([])


def test_an_effective_sample_size_adds_up_over_parts() -> None:
    """Of the weights 1, 3 | 4, 0: (8)^2 / 26 of 4 samples, whatever part each is in."""
    parts = [{"size": EffectiveShare(4.0, 10.0, 2)}, {"size": EffectiveShare(4.0, 16.0, 2)}]
    assert reduce(combine(parts)) == {"size": pytest.approx(64 / 26 / 4)}
    assert EffectiveShare(6.0, 12.0, 3).value == 1.0
    assert EffectiveShare(0.0, 0.0, 3).value == 0.0
    with pytest.raises(TypeError, match="'size' is a Mean and a EffectiveShare"):
        combine([{"size": Mean(1.0, 1.0)}, parts[0]])
