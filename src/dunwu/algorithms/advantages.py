"""Advantages: how much better each token went than was to be expected. ``assign_advantages`` alone makes them.

Two kinds. A group baseline (``group_baselines``) compares the G completions of one prompt with each other: it is a
function of their rewards, and every token of a completion has the same advantage. Generalised advantage estimation
(``gae``) compares every token with what a value network expected. Either is decided after log-probabilities and values
are known, so that a KL penalty in the reward has its place here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64

from dunwu import registry
from dunwu.algorithms.algorithm import Algorithm
from dunwu.algorithms.gae import gae, whiten
from dunwu.algorithms.kl import ESTIMATORS, sum_to_end
from dunwu.errors import UserError
from dunwu.types import GradedSample, SampleLogprobs, TrainSample


def assign_advantages(
    samples: Sequence[GradedSample],
    logprobs: Sequence[SampleLogprobs],
    rewards: Sequence[Float64[np.ndarray, " G"]],
    algorithm: Algorithm,
    *,
    kept: Sequence[Float32[np.ndarray, " L"]] = (),
) -> list[TrainSample]:
    """Decide what every token of a batch was worth.

    Args:
        samples: those of this rollout, then those that are replayed.
        logprobs: what the trainer made of each, before the first update.
        rewards: of each group's graded completions (``samples.compute_rewards``), found by ``group_id`` and ``member``.
        algorithm: the recipe's.
        kept: of each replayed sample the ``kept_advantages`` that it once had. A value network judges it anew.

    Returns:
        The samples in their order, ready to be cut into minibatches.

    Raises:
        UserError: a function of the user's gave something else than one finite number a completion.
    """
    if algorithm.value is not None:
        return _from_values(samples, logprobs, algorithm)
    advantages = [*_from_groups(samples[: len(samples) - len(kept)], rewards, algorithm), *kept]
    return [
        TrainSample(
            sample=sample,
            logprobs=own,
            advantages=_charge_kl(advantages_L, sample, own, algorithm),
            returns=None,
            kept_advantages=advantages_L,
        )
        for sample, own, advantages_L in zip(samples, logprobs, advantages, strict=True)
    ]


def _from_groups(
    samples: Sequence[GradedSample], rewards: Sequence[Float64[np.ndarray, " G"]], algorithm: Algorithm
) -> list[Float32[np.ndarray, " L"]]:
    """Compare each sample with its group."""
    advantages: Mapping[int, np.ndarray] = {
        group: _advantages_of(rewards[group], algorithm) for group in {sample.group_id for sample in samples}
    }
    return [
        np.where(sample.loss_mask, advantages[sample.group_id][sample.member], np.float32(0.0)) for sample in samples
    ]


def _advantages_of(rewards_G: Float64[np.ndarray, " G"], algorithm: Algorithm) -> Float32[np.ndarray, " G"]:
    assert algorithm.advantage is not None, "a recipe without a value network has a group baseline"
    name, field = algorithm.spec.advantage, "algorithm.advantage"
    with registry.advantages.blame(name, field):
        given = algorithm.advantage(rewards_G.copy())
    try:
        with np.errstate(over="ignore"):
            if np.iscomplexobj(given):
                raise TypeError
            advantages_G = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError, RuntimeError):  # no numbers, rows of several lengths, a tensor with a gradient
        advantages_G = np.empty(0, dtype=np.float32)
    if advantages_G.shape != rewards_G.shape or not np.isfinite(advantages_G).all():
        shown = given.tolist() if isinstance(given, np.ndarray) else given
        text = f"gives {shown!r:.80} for {len(rewards_G)} rewards, not one finite number for each"
        raise UserError(f"{name} {text}", field=field)
    return advantages_G


def _charge_kl(
    advantages_L: Float32[np.ndarray, " L"], sample: GradedSample, own: SampleLogprobs, algorithm: Algorithm
) -> Float32[np.ndarray, " L"]:
    """Take beta x KL off each token's advantage: that of the token and of all that follow it."""
    kl_L = _kl_penalty(own, algorithm)
    if kl_L is None:
        return advantages_L
    to_come_1L = sum_to_end(torch.from_numpy(kl_L)[None], torch.from_numpy(sample.loss_mask)[None])
    charged_L: np.ndarray = advantages_L - algorithm.spec.kl_coefficient * to_come_1L[0].numpy()
    return charged_L


def _from_values(
    samples: Sequence[GradedSample], logprobs: Sequence[SampleLogprobs], algorithm: Algorithm
) -> list[TrainSample]:
    """Compare each token with what the value network expected of it."""
    spec = algorithm.value
    assert spec is not None
    advantages, returns = [], []
    for sample, own in zip(samples, logprobs, strict=True):
        assert own.old_values is not None, "a value network has not been asked"
        values_C = own.old_values[sample.loss_mask]
        rewards_C = _token_rewards(sample, own, algorithm)[sample.loss_mask]
        advantages_C = gae(rewards_C, values_C, discount=spec.discount, lam=spec.lam)
        advantages.append(advantages_C)
        returns.append(advantages_C + values_C)
    if spec.whiten and advantages:
        advantages = whiten(advantages)
    rows = [_spread(advantages_C, sample) for advantages_C, sample in zip(advantages, samples, strict=True)]
    return [
        TrainSample(
            sample=sample,
            logprobs=logprobs[i],
            advantages=rows[i],
            returns=_spread(returns[i], sample),
            kept_advantages=rows[i],
        )
        for i, sample in enumerate(samples)
    ]


def _token_rewards(sample: GradedSample, own: SampleLogprobs, algorithm: Algorithm) -> Float32[np.ndarray, " L"]:
    """Put the reward at the last token, and take beta x KL off every token where the recipe has it so."""
    rewards_L = np.zeros(len(sample.token_ids), dtype=np.float32)
    if (kl_L := _kl_penalty(own, algorithm)) is not None:
        rewards_L -= algorithm.spec.kl_coefficient * kl_L * sample.loss_mask
    rewards_L[np.flatnonzero(sample.loss_mask)[-1:]] += sample.reward
    return rewards_L


def _kl_penalty(own: SampleLogprobs, algorithm: Algorithm) -> Float32[np.ndarray, " L"] | None:
    """Estimate KL(old policy || reference) at each token, where the recipe charges it in the reward."""
    if own.ref_logprobs is None or algorithm.spec.kl_in != "reward":
        return None
    assert own.old_logprobs is not None, "a KL penalty in the reward needs the old policy's log-probabilities"
    estimate = ESTIMATORS[algorithm.spec.kl_estimator]
    kl_L: np.ndarray = estimate(torch.from_numpy(own.old_logprobs), torch.from_numpy(own.ref_logprobs)).numpy()
    return kl_L


def _spread(values_C: Float32[np.ndarray, " C"], sample: GradedSample) -> Float32[np.ndarray, " L"]:
    """Put numbers of a completion's tokens into the sample's row, zeros elsewhere."""
    values_L = np.zeros(len(sample.token_ids), dtype=np.float32)
    values_L[sample.loss_mask] = values_C
    return values_L
