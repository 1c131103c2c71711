"""How far the engine's log-probabilities are from the trainer's under the same weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from dunwu.types import GradedSample


def compare_logprobs(
    samples: Sequence[GradedSample], logprobs: Sequence[Float32[np.ndarray, " L"]]
) -> tuple[float, float] | None:
    """Compare the sampler's log-probabilities with the trainer's, over the tokens that carry loss.

    Args:
        samples: with the engine's ``sampler_logprobs``.
        logprobs: the trainer's, of the same slots.

    Returns:
        Mean and largest absolute difference, in nats a token; None where there are no tokens.
    """
    differences = [
        np.abs(theirs[sample.loss_mask].astype(np.float64) - sample.sampler_logprobs[sample.loss_mask])
        for sample, theirs in zip(samples, logprobs, strict=True)
    ]
    tokens = np.concatenate([np.zeros(0), *differences])
    return (float(tokens.mean()), float(tokens.max())) if tokens.size else None
