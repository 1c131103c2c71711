"""Advantages of a group: how much better than its siblings each completion was. G completions of one prompt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Float32

Advantages = Callable[[Float[np.ndarray, " G"]], Float32[np.ndarray, " G"]]


UNIFORM_WITHIN = 1e-9
"""Rewards closer than this are equal: sums of the same parts may differ in their last bits."""


def uniform(rewards_G: Float[np.ndarray, " G"]) -> bool:
    """Whether all rewards of a group are equal: always so for fewer than two."""
    return len(rewards_G) < 2 or bool(np.ptp(rewards_G) <= UNIFORM_WITHIN)


def group_std(rewards_G: Float[np.ndarray, " G"]) -> Float32[np.ndarray, " G"]:
    """(r - mean) / std: GRPO (DeepSeekMath, arXiv 2402.03300, section 4.1.2; R1, arXiv 2501.12948v2, equation 3).

    The papers do not say which standard deviation. Ours is the population's (divide by G), without an epsilon: it needs
    none, because a group whose rewards are all equal has nothing to teach and gets zeros.
    """
    if uniform(rewards_G):
        return np.zeros(len(rewards_G), dtype=np.float32)
    standardised_G: np.ndarray = (rewards_G - rewards_G.mean()) / rewards_G.std()
    return standardised_G.astype(np.float32)


def group_mean(rewards_G: Float[np.ndarray, " G"]) -> Float32[np.ndarray, " G"]:
    """r - mean: Dr. GRPO (arXiv 2503.20783, section 3.2), which finds that dividing by the
    std favours the easiest and the hardest questions."""
    if uniform(rewards_G):
        return np.zeros(len(rewards_G), dtype=np.float32)
    centred_G: np.ndarray = rewards_G - rewards_G.mean()
    return centred_G.astype(np.float32)


def leave_one_out(rewards_G: Float[np.ndarray, " G"]) -> Float32[np.ndarray, " G"]:
    """r - mean of the others: RLOO (arXiv 2402.14740, section 3.2), an unbiased baseline.

    Computed as G / (G - 1) times r - mean, which is the same.
    """
    size = len(rewards_G)
    return group_mean(rewards_G) * np.float32(size / (size - 1))


def of_a_critic(rewards_G: Float[np.ndarray, " G"]) -> Float32[np.ndarray, " G"]:
    """Zeros: a value network says later what each token was worth (``training.critic``)."""
    return np.zeros(len(rewards_G), dtype=np.float32)


ADVANTAGES: dict[str, Advantages] = {
    "group-std": group_std,
    "group-mean": group_mean,
    "leave-one-out": leave_one_out,
    "gae": of_a_critic,
}
