"""Estimators of KL(policy || reference) from tokens that the policy drew.

J. Schulman, "Approximating KL divergence", 2020. With d = log reference - log policy of the drawn token: k1 is unbiased
but noisy and may be negative; k2 has low variance and a small bias; k3 is unbiased, never negative, and what GRPO uses.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Estimator = Callable[[Float[Tensor, "B T"], Float[Tensor, "B T"]], Float[Tensor, "B T"]]


def k1(logprobs_BT: Float[Tensor, "B T"], ref_logprobs_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """-d. Its mean is the KL; its gradient, taken through the loss, has mean zero: for the reward only."""
    return logprobs_BT - ref_logprobs_BT


def k2(logprobs_BT: Float[Tensor, "B T"], ref_logprobs_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """d^2 / 2. Its gradient, taken through the loss, is the KL's on fresh samples."""
    return 0.5 * (ref_logprobs_BT - logprobs_BT).square()


def k3(logprobs_BT: Float[Tensor, "B T"], ref_logprobs_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """exp(d) - d - 1 (DeepSeekMath, arXiv 2402.03300, equation 4; R1, arXiv 2501.12948v2, equation 2)."""
    difference = ref_logprobs_BT - logprobs_BT
    return torch.expm1(difference) - difference


ESTIMATORS: dict[str, Estimator] = {"k1": k1, "k2": k2, "k3": k3}


def still_to_come(kl_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """For each token the KL from it to the end of its completion: what the token can still change.

    The penalty in the reward, -beta x KL at every token (DeepSeekMath, equation 2), gives a token the return of what
    follows it, undiscounted.
    """
    masked_BT = kl_BT * mask_BT
    return masked_BT.flip(1).cumsum(1).flip(1) * mask_BT
