"""Group baselines: how much better each of the G completions of one prompt went than the others, by their rewards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Float64

GroupAdvantage = Callable[[Float64[np.ndarray, " G"]], Float[np.ndarray, " G"]]
"""What ``algorithm.advantage`` names in a recipe: rewards_G -> advantages_G.

G is the number of one prompt's completions that were graded. Rewards are weighted sums of parts, with costs for length
if the recipe has any. An advantage above 0 makes a completion likelier, one below 0 less likely, and 0 teaches nothing.
"""
GAE: Final = "gae"
"""The one name that stands for no group baseline: it needs a value network."""
UNIFORM_WITHIN: Final = 1e-9
"""Rewards closer than this are equal: sums of the same parts may differ in their last bits."""


def is_uniform(rewards_G: Float[np.ndarray, " G"]) -> bool:
    """Whether all rewards of a group are equal: always so for fewer than two."""
    return len(rewards_G) < 2 or bool(np.ptp(rewards_G) <= UNIFORM_WITHIN)


def group_std(rewards_G: Float[np.ndarray, " G"]) -> Float32[np.ndarray, " G"]:
    """Return (r - mean) / std: GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1.2; R1, 2501.12948v2, equation 3).

    The papers do not say which standard deviation. Ours is the population's (divide by G), without an epsilon: it needs
    none, because a group whose rewards are all equal has nothing to teach and gets zeros.
    """
    if is_uniform(rewards_G):
        return np.zeros(len(rewards_G), dtype=np.float32)
    standardised_G: np.ndarray = (rewards_G - rewards_G.mean()) / rewards_G.std()
    return standardised_G.astype(np.float32)


def group_mean(rewards_G: Float[np.ndarray, " G"]) -> Float32[np.ndarray, " G"]:
    """Return r - mean: Dr. GRPO (arXiv 2503.20783, section 3.2).

    The paper finds that dividing by the standard deviation favours the easiest and the hardest questions.
    """
    if is_uniform(rewards_G):
        return np.zeros(len(rewards_G), dtype=np.float32)
    centred_G: np.ndarray = rewards_G - rewards_G.mean()
    return centred_G.astype(np.float32)


def leave_one_out(rewards_G: Float[np.ndarray, " G"]) -> Float32[np.ndarray, " G"]:
    """Return r - mean of the others: RLOO (arXiv 2402.14740, section 3.2), an unbiased baseline.

    Computed as G / (G - 1) times r - mean, which is the same.
    """
    size = len(rewards_G)
    return group_mean(rewards_G) * np.float32(size / (size - 1))
