"""Sampler against trainer: correcting for an engine that generates under slightly different probabilities."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def compute_importance_weights(
    old_logprobs_BT: Float[Tensor, "B T"], sampler_logprobs_BT: Float[Tensor, "B T"], cap: float
) -> Float[Tensor, "B T"]:
    """min(pi_old / pi_sampler, cap) for each token: truncated importance sampling (Ionides 2008; for rollouts: Yao et
    al., "Your efficient RL framework secretly brings you off-policy RL training", 2025). Carries no gradient."""
    return torch.exp(old_logprobs_BT - sampler_logprobs_BT).clamp(max=cap).detach()
