"""Generalised advantages against the definition, written out."""

from __future__ import annotations

import numpy as np
import pytest

from dunwu.algorithms.gae import gae, whiten

REWARDS = np.array([0.5, 0.0, -1.0, 2.0], dtype=np.float32)
VALUES = np.array([0.3, 0.7, -0.2, 1.1], dtype=np.float32)


@pytest.mark.parametrize(("discount", "lam"), [(1.0, 1.0), (0.9, 0.8), (1.0, 0.95), (0.5, 0.0)])
def test_the_sum_of_the_definition(discount: float, lam: float) -> None:
    following = [*VALUES[1:].tolist(), 0.0]
    deltas = [r + discount * after - v for r, v, after in zip(REWARDS, VALUES, following, strict=True)]
    expected = [sum((discount * lam) ** (k - t) * deltas[k] for k in range(t, 4)) for t in range(4)]
    assert gae(REWARDS, VALUES, discount=discount, lam=lam) == pytest.approx(expected, abs=1e-6)


def test_with_lambda_one_the_advantage_is_the_return_against_the_value() -> None:
    returns = np.cumsum(REWARDS[::-1])[::-1]
    assert gae(REWARDS, VALUES, discount=1.0, lam=1.0) == pytest.approx(returns - VALUES, abs=1e-6)


def test_nothing_is_changed_in_place() -> None:
    rewards, values = REWARDS.copy(), VALUES.copy()
    gae(rewards, values, discount=1.0, lam=0.9)
    assert (rewards == REWARDS).all()
    assert (values == VALUES).all()


def test_whitening_is_over_all_tokens() -> None:
    rows = whiten([np.array([1.0, 2.0], np.float32), np.array([6.0], np.float32)])
    flat = np.concatenate(rows)
    assert flat.mean() == pytest.approx(0.0, abs=1e-6)
    assert flat.std() == pytest.approx(1.0, abs=1e-6)
    assert [len(row) for row in rows] == [2, 1]
    assert not np.concatenate(whiten([np.full(3, 7.0, np.float32)])).any()
