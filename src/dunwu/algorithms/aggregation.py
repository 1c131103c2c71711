"""From one number per token to one loss: three ways to weigh long completions against short ones.

The denominators are those of the whole optimizer step, so that microbatches (and ranks) just add: no split changes
the result.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor

from dunwu.algorithms.batching import TrainStep

Aggregate = Callable[[Float[Tensor, "B T"], Bool[Tensor, "B T"], TrainStep], Float[Tensor, ""]]


def average_by_sequence(
    values_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"], step: TrainStep
) -> Float[Tensor, ""]:
    """Average over each sequence's tokens, then over sequences (DeepSeekMath, arXiv 2402.03300, equation 3).

    Args:
        values_BT: one number a token.
        mask_BT: the tokens that count.
        step: the whole step, for its number of sequences.
    """
    lengths_B = mask_BT.sum(1).clamp(min=1)
    return ((values_BT * mask_BT).sum(1) / lengths_B).sum() / step.num_sequences


def average_by_token(
    values_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"], step: TrainStep
) -> Float[Tensor, ""]:
    """Average over all tokens of the step (DAPO, arXiv 2503.14476, equation 12): long sequences weigh more.

    Args:
        values_BT: one number a token.
        mask_BT: the tokens that count.
        step: the whole step, for its number of tokens.
    """
    return (values_BT * mask_BT).sum() / step.num_loss_tokens


def divide_by_constant(length: int) -> Aggregate:
    """Return what sums over a sequence's tokens, divides by a constant, then averages over sequences.

    Source: Dr. GRPO (arXiv 2503.20783, section 3.2). ``length`` is the generation budget: the same for every sequence,
    so that no length is favoured.
    """

    def aggregate(values_BT: Float[Tensor, "B T"], mask_BT: Bool[Tensor, "B T"], step: TrainStep) -> Float[Tensor, ""]:
        return (values_BT * mask_BT).sum() / (step.num_sequences * length)

    return aggregate
