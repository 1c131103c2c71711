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
    """Return -d. Its mean is the KL; its gradient, taken through the loss, has mean zero: for the reward only."""
    return logprobs_BT - ref_logprobs_BT


def k2(logprobs_BT: Float[Tensor, "B T"], ref_logprobs_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return d^2 / 2. Its gradient, taken through the loss, is the KL's on fresh samples."""
    return 0.5 * (ref_logprobs_BT - logprobs_BT).square()


def k3(logprobs_BT: Float[Tensor, "B T"], ref_logprobs_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return exp(d) - d - 1 (DeepSeekMath, arXiv 2402.03300, equation 4; R1, arXiv 2501.12948v2, equation 2)."""
    difference = ref_logprobs_BT - logprobs_BT
    return torch.expm1(difference) - difference


ESTIMATORS: dict[str, Estimator] = {"k1": k1, "k2": k2, "k3": k3}


def correct_for_old_policy(
    estimator: str,
    logprobs_BT: Float[Tensor, "B T"],
    ref_logprobs_BT: Float[Tensor, "B T"],
    old_logprobs_BT: Float[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
) -> Float[Tensor, "B T"]:
    """Weigh an estimator by policy / old policy, so that its gradient is the KL's although the old policy drew.

    For tokens x that q drew, E_q[pi/q k(x)] = E_pi[k(x)]. For k1 and k3 that is KL(pi || reference) whatever q is, and
    so is its gradient, as long as the ratio is differentiated too (for k3: DeepSeek-V3.2, arXiv 2512.02556, section
    3.1, equation 7). Of k2 the value is no KL, but E_pi[grad k2] = E_pi[log(pi/reference) grad log pi] is its gradient:
    there the ratio is a constant weight. All of it holds token by token, for the prefixes that were sampled.

    Args:
        estimator: a name in ``ESTIMATORS``.
        logprobs_BT: of the policy, with its gradient.
        ref_logprobs_BT: of the reference.
        old_logprobs_BT: of the policy that drew the tokens.
        mask_BT: the tokens that count; elsewhere the weight is 1.

    Returns:
        The weighted estimator of each token, in nats.
    """
    ratio_BT = torch.exp((logprobs_BT - old_logprobs_BT) * mask_BT)
    weight_BT = ratio_BT.detach() if estimator == "k2" else ratio_BT
    return weight_BT * ESTIMATORS[estimator](logprobs_BT, ref_logprobs_BT)


def sum_to_end(kl_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Sum the KL from each token to the end of its completion: what the token can still change.

    The penalty in the reward, -beta x KL at every token (DeepSeekMath, equation 2), gives a token the return of what
    follows it, undiscounted.
    """
    masked_BT = kl_BT * mask_BT
    return masked_BT.flip(1).cumsum(1).flip(1) * mask_BT
