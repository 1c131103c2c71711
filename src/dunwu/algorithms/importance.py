"""Corrections for samples that another policy wrote: a foreign engine, or weights that are some updates old.

The loss of a token is multiplied by a weight, pi_old / pi_sampler, before it is averaged: pi_old is the policy of the
trainer before the first update on the rollout, pi_sampler is what drew the tokens. From pi_old on, the ratio in the
loss goes (decoupled PPO: Hilton et al., arXiv 2110.00641; for rollouts AReaL, arXiv 2505.24298).

A weight is decided at a level (one row of ``LEVELS`` each), and what is out of bounds is treated in two ways: weights
above the cap are cut down to it, and what a mask hits loses its loss. Such tokens stay in the denominators: the
estimate is a mean over all that was sampled, of a function that is 0 on some of it. To divide by what is left would let
the others count for more, the more is masked. IcePop divides by all tokens, too (arXiv 2510.18855; INTELLECT-3, arXiv
2512.16144, equation 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dunwu.config.schema import CorrectionSpec
from dunwu.metrics import EffectiveShare, Max, Mean, Metric

LARGEST_LOG: Final = 20.0
"""Logarithms of weights are cut off here: e^20 = 4.9e8 is above every cap, and sums of its square fit in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What the samples of a microbatch count; nothing here carries a gradient.

    Attributes:
        ratio: pi_old / pi_sampler at the level of the weights, before any bound; at most e^20.
        weights: what each token's loss is multiplied by, 0 where it is masked.
        clipped: where the cap is the weight; None: there is no cap.
        kept: where no mask hit; None: there are no masks.
    """

    ratio: Float[Tensor, "B T"]
    weights: Float[Tensor, "B T"]
    clipped: Bool[Tensor, "B T"] | None
    kept: Bool[Tensor, "B T"] | None


LogWeight = Callable[[Float[Tensor, "B T"], Bool[Tensor, "B T"]], Float[Tensor, "B T"]]


def by_token(log_ratio_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return each token's own: few are extreme, but the prefixes stay those that the sampler wrote.

    Source: Yao et al., "Your efficient RL framework secretly brings you off-policy RL training", 2025.

    Args:
        log_ratio_BT: log pi_old - log pi_sampler, 0 where there is no loss.
        mask_BT: the tokens that carry loss.
    """
    return log_ratio_BT


def by_sequence(log_ratio_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the sum over the sequence, the logarithm of the product: no bias, and a spread that grows with the length.

    Source: Liu, Li et al., "When speed kills stability", 2025. Arguments: see ``by_token``.
    """
    return log_ratio_BT.sum(1, keepdim=True).expand_as(log_ratio_BT)


def by_geometric_mean(log_ratio_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Return the mean over the sequence's tokens: of one size whatever the length (same source as ``by_sequence``)."""
    lengths_B1 = mask_BT.sum(1, keepdim=True).clamp(min=1)
    return (log_ratio_BT.sum(1, keepdim=True) / lengths_B1).expand_as(log_ratio_BT)


LEVELS: Final[Mapping[str, LogWeight]] = {
    "token": by_token,
    "sequence": by_sequence,
    "geometric": by_geometric_mean,
}
"""From the log-ratio of each token to the logarithm of its weight."""


def correct_for_sampler(
    old_logprobs_BT: Float[Tensor, "B T"],
    sampler_logprobs_BT: Float[Tensor, "B T"],
    mask_BT: Bool[Tensor, "B T"],
    spec: CorrectionSpec,
) -> Correction:
    """Decide what each token's loss counts, since another policy drew it.

    Bounds are compared in logarithms, so that a product over a long completion cannot overflow.

    Args:
        old_logprobs_BT: the trainer's, before the first update.
        sampler_logprobs_BT: the engine's, of the same tokens.
        mask_BT: the tokens that carry loss.
        spec: the recipe's.
    """
    log_ratio_BT = ((old_logprobs_BT - sampler_logprobs_BT) * mask_BT).detach()
    ratio_BT = LEVELS[spec.level](log_ratio_BT, mask_BT).clamp(max=LARGEST_LOG).exp()
    weights_BT = ratio_BT.clamp(max=spec.cap) if spec.cap else torch.ones_like(ratio_BT)
    clipped_BT, kept_BT = ratio_BT > spec.cap if spec.cap else None, None
    if spec.has_masks:
        masked_by_BT = LEVELS[spec.mask_level or spec.level](log_ratio_BT, mask_BT)
        low = math.log(spec.mask_low) if spec.mask_low else -math.inf
        high = math.log(spec.mask_high) if spec.mask_high else math.inf
        kept_BT = (masked_by_BT >= low) & (masked_by_BT <= high)
        weights_BT = weights_BT * kept_BT
        clipped_BT = None if clipped_BT is None else clipped_BT & kept_BT
    return Correction(ratio=ratio_BT, weights=weights_BT, clipped=clipped_BT, kept=kept_BT)


def measure_correction(correction: Correction, mask_BT: Bool[Tensor, "B T"]) -> dict[str, Metric]:
    """Sum up what a correction did to a microbatch: means over loss tokens, but for the share of sequences.

    ``correction_max`` is the largest ratio before any bound. The effective sample size is Kish's, (sum w)^2 / sum w^2,
    as a share of the tokens.

    Args:
        correction: the microbatch's.
        mask_BT: the tokens that carry loss.
    """
    weights_BT = (correction.weights * mask_BT).double()
    sums = {"weights": weights_BT.sum(), "squares": weights_BT.square().sum(), "tokens": mask_BT.sum()}
    sums["largest"] = (correction.ratio * mask_BT).max()
    if correction.clipped is not None:
        sums["clipped"] = (correction.clipped & mask_BT).sum()
    if correction.kept is not None:
        sums["masked"] = (~correction.kept & mask_BT).sum()
        sums["emptied"] = (mask_BT.any(1) & ~(correction.kept & mask_BT).any(1)).sum()
    # One transfer from the device for all numbers.
    numbers = dict(zip(sums, torch.stack([value.double() for value in sums.values()]).tolist(), strict=True))
    tokens = numbers["tokens"]
    metrics: dict[str, Metric] = {
        "correction_mean": Mean(numbers["weights"], tokens),
        "correction_max": Max(numbers["largest"]),
        "correction_sample_size": EffectiveShare(numbers["weights"], numbers["squares"], tokens),
    }
    if "clipped" in numbers:
        metrics["correction_clipped"] = Mean(numbers["clipped"], tokens)
    if "masked" in numbers:
        metrics["correction_masked"] = Mean(numbers["masked"], tokens)
        metrics["correction_masked_sequences"] = Mean(numbers["emptied"], len(mask_BT))
    return metrics
