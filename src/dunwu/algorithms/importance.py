"""Sampler against trainer: correcting for an engine that generates under slightly different probabilities."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def compute_importance_weights(
    old_logprobs_BT: Float[Tensor, "B T"], sampler_logprobs_BT: Float[Tensor, "B T"], cap: float
) -> Float[Tensor, "B T"]:
    """Compute min(pi_old / pi_sampler, cap) for each token, without a gradient: truncated importance sampling.

    Source: Ionides 2008; for rollouts Yao et al., "Your efficient RL framework secretly brings you off-policy RL
    training", 2025.

    Args:
        old_logprobs_BT: the trainer's.
        sampler_logprobs_BT: the engine's, of the same tokens.
        cap: the largest weight.
    """
    return torch.exp(old_logprobs_BT - sampler_logprobs_BT).clamp(max=cap).detach()
