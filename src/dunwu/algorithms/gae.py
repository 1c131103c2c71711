"""Generalised advantage estimation: how much better each token went than a value network expected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32


def gae(
    rewards_C: Float32[np.ndarray, " C"], values_C: Float32[np.ndarray, " C"], *, discount: float, lam: float
) -> Float32[np.ndarray, " C"]:
    """Return A_t, the sum over l of (discount x lam)^l delta_(t+l), with delta_t = r_t + discount V_(t+1) - V_t.

    Source: Schulman et al., arXiv 1506.02438, equation 16.

    Args:
        rewards_C: of each of the C tokens of a completion.
        values_C: what was expected of the state before each token; after the last one nothing is, cut off or not.
        discount: gamma, of a reward one token later.
        lam: 1: the whole return against the value (no bias); 0: one token alone.

    Returns:
        The advantage of each token, in units of the reward.
    """
    from scipy.signal import lfilter  # brings scipy.stats: half a second that runs without a value network save

    deltas_C = rewards_C.astype(np.float64) - values_C
    deltas_C[:-1] += discount * values_C[1:]
    # From the last token to the first: A_t = delta_t + discount x lam x A_(t+1).
    advantages_C: np.ndarray = lfilter([1.0], [1.0, -discount * lam], deltas_C[::-1])[::-1]
    return advantages_C.astype(np.float32)


def whiten(rows: Sequence[Float32[np.ndarray, " C"]]) -> list[Float32[np.ndarray, " C"]]:
    """Shift and scale to mean 0 and standard deviation 1 over the tokens of all rows; equal numbers become zeros."""
    values_N = np.concatenate(rows)
    deviation = values_N.std()
    scale = 1.0 / deviation if deviation > 1e-8 else 0.0
    return [((row - values_N.mean()) * scale).astype(np.float32) for row in rows]
