"""What is maximised at each token, before it is averaged: GRPO, GSPO, CISPO.

They differ in one thing: the weight that a token's gradient gets when the policy has moved away from the one that
``old_logprobs`` describe. On the first update all three weigh every token with its advantage alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What to maximise, and what metrics say of it.

    Attributes:
        values: one number a token, with a gradient.
        ratio: of new to old probability, without a gradient; None: that of each token by itself.
        clipped_low: where the lower clip is active; None: nowhere.
        clipped_high: where the upper one is.
    """

    values: Float[Tensor, "B T"]
    ratio: Float[Tensor, "B T"] | None = None
    clipped_low: Bool[Tensor, "B T"] | None = None
    clipped_high: Bool[Tensor, "B T"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Ratios are clipped to [1 - low, 1 + high]. R1's 10 leaves only the bound at 11, and that for A > 0 alone."""

    low: float
    high: float


Loss = Callable[
    [Float[Tensor, "B T"], Float[Tensor, "B T"], Bool[Tensor, "B T"], Float[Tensor, "B T"], Clip], Objective
]
"""What ``algorithm.loss`` names in a recipe: (logprobs_BT, old_logprobs_BT, mask_BT, advantages_BT, clip) -> Objective.

B sequences of T tokens. ``logprobs_BT`` are of the policy that learns and alone carry a gradient; ``old_logprobs_BT``
are of the policy before the first update on this rollout. ``mask_BT`` says which tokens carry loss; what a function
gives elsewhere is ignored, but must be finite. Averaging, the KL term and the correction for another sampler come after
it (``algorithm``), so that every loss has them.
"""


def grpo(
    logprobs_BT: Float[Tensor, "B T"],
    old_logprobs_BT: Float[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    advantages_BT: Float[Tensor, "B T"],
    clip: Clip,
) -> Objective:
    """Return min(ratio A, clip(ratio) A) with a ratio for each token (DeepSeekMath, arXiv 2402.03300, equation 3).

    Bounds of their own above and below: DAPO's clip-higher (arXiv 2503.14476, equation 10). Arguments: see ``Loss``.
    """
    ratio_BT = torch.exp((logprobs_BT - old_logprobs_BT) * mask_BT)
    return _pessimistic(ratio_BT, advantages_BT, clip)


def gspo(
    logprobs_BT: Float[Tensor, "B T"],
    old_logprobs_BT: Float[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    advantages_BT: Float[Tensor, "B T"],
    clip: Clip,
) -> Objective:
    """Return the same with one ratio a sequence, the geometric mean of its tokens'.

    Source: GSPO (arXiv 2507.18071, equation 7), written token by token (GSPO-token, equations 13 and 14). Every token
    has the sequence's value and its own gradient, which sums over the sequence to the gradient of equation 5.
    Arguments: see ``Loss``.
    """
    log_ratio_BT = (logprobs_BT - old_logprobs_BT) * mask_BT
    sequence_B1 = log_ratio_BT.sum(1, keepdim=True) / mask_BT.sum(1, keepdim=True).clamp(min=1)
    own_gradient_BT = torch.exp((logprobs_BT - logprobs_BT.detach()) * mask_BT)
    return _pessimistic(sequence_B1.detach().exp() * own_gradient_BT, advantages_BT, clip)


def cispo(
    logprobs_BT: Float[Tensor, "B T"],
    old_logprobs_BT: Float[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    advantages_BT: Float[Tensor, "B T"],
    clip: Clip,
) -> Objective:
    """Return sg(clip(ratio)) A log pi: the weight is clipped, the gradient never stopped.

    Source: MiniMax-M1, arXiv 2506.13585, equations 4 and 5. Arguments: see ``Loss``.
    """
    ratio_BT = torch.exp((logprobs_BT - old_logprobs_BT) * mask_BT).detach()
    weight_BT = ratio_BT.clamp(1.0 - clip.low, 1.0 + clip.high)
    return Objective(
        values=weight_BT * advantages_BT * logprobs_BT,
        ratio=ratio_BT,
        clipped_low=ratio_BT < 1.0 - clip.low,
        clipped_high=ratio_BT > 1.0 + clip.high,
    )


def _pessimistic(ratio_BT: Float[Tensor, "B T"], advantages_BT: Float[Tensor, "B T"], clip: Clip) -> Objective:
    """Take PPO's bound (arXiv 1707.06347, equation 7): the smaller of the plain and the clipped objective."""
    clipped_BT = ratio_BT.clamp(1.0 - clip.low, 1.0 + clip.high)
    return Objective(
        values=torch.minimum(ratio_BT * advantages_BT, clipped_BT * advantages_BT),
        ratio=ratio_BT.detach(),
        clipped_low=(ratio_BT < 1.0 - clip.low) & (advantages_BT < 0),
        clipped_high=(ratio_BT > 1.0 + clip.high) & (advantages_BT > 0),
    )
