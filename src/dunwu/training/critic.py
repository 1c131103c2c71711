"""The value network of PPO: it expects a reward at every token, and what it did not expect is the advantage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from dunwu.algorithms.batching import Microbatch, TrainStep, buckets, pad
from dunwu.algorithms.gae import gae, whitened
from dunwu.algorithms.kl import ESTIMATORS
from dunwu.config.schema import AlgorithmSpec, UpdateSpec, ValueSpec
from dunwu.metrics import Mean, Metric
from dunwu.models.load import Policy
from dunwu.models.scores import token_values
from dunwu.training.learner import Learner
from dunwu.types import AnchoredSample, TrainSample


class Critic:
    """A transformer with a head of one number, as large as the policy, updated in step with it on the same minibatches.

    Args:
        scorer: see ``models.load.load_scorer``; updated in place.
        spec: discount, lambda, clipping and the network's own optimizer.
        algorithm: the KL term, where it is part of the reward.
        update: how a rollout is split.
        total_steps: updates in the whole stage, for the schedule.
    """

    def __init__(
        self, scorer: Policy, spec: ValueSpec, algorithm: AlgorithmSpec, update: UpdateSpec, *, total_steps: int
    ) -> None:
        self._learner = Learner(scorer, spec.optimizer, total_steps, update.gradient_checkpointing)
        self._spec, self._algorithm, self._update = spec, algorithm, update
        self.zero_grad = self._learner.zero_grad

    def anchor(self, samples: Sequence[AnchoredSample]) -> list[AnchoredSample]:
        """The samples with their advantages, and what the values were and should have been."""
        values = self._values([anchored.sample for anchored in samples])
        advantages, returns = [], []
        for anchored, values_L in zip(samples, values, strict=True):
            mask_L = anchored.sample.loss_mask
            advantages_C = gae(
                self._rewards(anchored)[mask_L], values_L[mask_L], discount=self._spec.discount, lam=self._spec.lam
            )
            advantages.append(advantages_C)
            returns.append(advantages_C + values_L[mask_L])
        if self._spec.whiten and advantages:
            advantages = whitened(advantages)
        return [
            replace(
                anchored,
                sample=replace(anchored.sample, advantages=_spread(advantages[i], anchored.sample)),
                old_values=values[i],
                returns=_spread(returns[i], anchored.sample),
            )
            for i, anchored in enumerate(samples)
        ]

    def accumulate(self, batch: Microbatch, step: TrainStep, place: str) -> dict[str, Metric]:
        """Forward and backward of one microbatch: half the squared error, mean over the step's tokens. What moves a
        value by more than ``clip`` gains nothing by it (OpenAI baselines, ppo2, 2017).

        Raises:
            Fault: the loss, or the gradient so far, is not finite; the weights are untouched.
        """
        assert batch.old_values is not None
        assert batch.returns is not None
        values_BT = token_values(self._learner.model, batch.token_ids, batch.loss_mask)
        error_BT = (values_BT - batch.returns).square()
        if self._spec.clip is not None:
            near_BT = batch.old_values + (values_BT - batch.old_values).clamp(-self._spec.clip, self._spec.clip)
            error_BT = torch.maximum(error_BT, (near_BT - batch.returns).square())
        loss = 0.5 * (error_BT * batch.loss_mask).sum() / step.num_loss_tokens
        self._learner.backward(loss, f"the value network, {place}")
        return _metrics(batch, values_BT.detach(), loss.detach(), step)

    def step(self, at: int) -> dict[str, float]:
        """One update from the gradients."""
        numbers = self._learner.step(at)
        return {"value_grad_norm": numbers["grad_norm"], "value_lr": numbers["lr"]}

    def save(self, folder: Path) -> None:
        """Writes everything from which the next update follows."""
        self._learner.save(folder)

    def load(self, folder: Path) -> None:
        """Goes on bit for bit where ``save`` was called."""
        self._learner.load(folder)

    def _rewards(self, anchored: AnchoredSample) -> Float32[np.ndarray, " L"]:
        """The reward at the last token, and where the recipe has it so, minus beta x KL at every token."""
        sample, rewards_L = anchored.sample, np.zeros(len(anchored.sample.token_ids), dtype=np.float32)
        if anchored.ref_logprobs is not None and self._algorithm.kl_in == "reward":
            policy_L = sample.sampler_logprobs if anchored.old_logprobs is None else anchored.old_logprobs
            of = ESTIMATORS[self._algorithm.kl_estimator]
            kl_L = of(torch.from_numpy(policy_L), torch.from_numpy(anchored.ref_logprobs)).numpy()
            rewards_L -= self._algorithm.kl_coefficient * kl_L * sample.loss_mask
        rewards_L[np.flatnonzero(sample.loss_mask)[-1:]] += sample.reward
        return rewards_L

    def _values(self, samples: Sequence[TrainSample]) -> list[Float32[np.ndarray, " L"]]:
        rows: dict[int, Float32[np.ndarray, " L"]] = {}
        lengths, groups = [len(sample.token_ids) for sample in samples], [sample.group_id for sample in samples]
        model = self._learner.model
        for bucket in buckets(lengths, groups, self._update.tokens_per_microbatch):
            with torch.no_grad():
                values_BT = token_values(
                    model,
                    pad([samples[i].token_ids for i in bucket], torch.int64).to(model.device),
                    pad([samples[i].loss_mask for i in bucket], torch.bool).to(model.device),
                )
            values = values_BT.cpu().numpy()
            rows |= {i: values[row, : len(samples[i].token_ids)] for row, i in enumerate(bucket)}
        return [rows[i] for i in range(len(samples))]


def _spread(values_C: Float32[np.ndarray, " C"], sample: TrainSample) -> Float32[np.ndarray, " L"]:
    """On the sample's loss slots, zeros elsewhere."""
    values_L = np.zeros(len(sample.token_ids), dtype=np.float32)
    values_L[sample.loss_mask] = values_C
    return values_L


def _metrics(batch: Microbatch, values_BT: Tensor, loss: Tensor, step: TrainStep) -> dict[str, Metric]:
    """Means over loss tokens; the parts of the loss add up."""
    assert batch.returns is not None
    mask_BT = batch.loss_mask
    tokens = float(mask_BT.sum())
    return {
        "value": Mean(float((values_BT * mask_BT).sum()), tokens),
        "value_squared_error": Mean(float(((values_BT - batch.returns) * mask_BT).square().sum()), tokens),
        "value_loss": Mean(float(loss), tokens / step.num_loss_tokens),
    }
