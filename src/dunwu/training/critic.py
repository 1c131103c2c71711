"""The value network of PPO: it says at every token what reward is to be expected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from dunwu.algorithms.batching import EMPTY_ROW, Microbatch, TrainStep, make_buckets, pad_rows
from dunwu.config.schema import AdapterSpec, UpdateSpec, ValueSpec
from dunwu.metrics import Mean, Metric
from dunwu.models.policy import Policy
from dunwu.models.scalar_head import compute_values
from dunwu.training.learner import Learner
from dunwu.training.rank_group import ONE_RANK, RankGroup
from dunwu.types import GradedSample


class Critic:
    """A transformer with a head of one number, as large as the policy, updated in step with it on the same minibatches.

    Args:
        scorer: see ``models.load.load_scorer``; updated in place.
        spec: clipping and the network's own optimizer.
        update: how a rollout is split.
        total_steps: updates in the whole stage, for the schedule.
        adapter: what learns in the place of its weights, beside the head; None: all of them.
        seed: of an adapter's first weights.
        ranks: who holds the network.
    """

    def __init__(
        self,
        scorer: Policy,
        spec: ValueSpec,
        update: UpdateSpec,
        *,
        total_steps: int,
        adapter: AdapterSpec | None = None,
        seed: int = 0,
        ranks: RankGroup = ONE_RANK,
    ) -> None:
        self._learner = Learner(
            scorer, spec.optimizer, total_steps, update.gradient_checkpointing, adapter, seed, ranks
        )
        self._spec, self._update, self._ranks = spec, update, ranks
        self.zero_grad, self.check_step = self._learner.zero_grad, self._learner.check_step

    def compute_values(self, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        """Return what is expected before each token that carries loss, in units of the reward; 0 elsewhere."""
        rows: dict[int, Float32[np.ndarray, " L"]] = {}
        lengths, groups = [len(sample.token_ids) for sample in samples], [sample.group_id for sample in samples]
        model = self._learner.model
        for bucket in self._ranks.even_out(make_buckets(lengths, groups, self._update.tokens_per_microbatch)):
            with torch.no_grad():
                values_BT = compute_values(
                    model,
                    pad_rows([samples[i].token_ids for i in bucket] or [EMPTY_ROW], torch.int64).to(model.device),
                    pad_rows([samples[i].loss_mask for i in bucket] or [EMPTY_ROW], torch.bool).to(model.device),
                )
            values = values_BT.cpu().numpy()
            rows |= {i: values[row, : len(samples[i].token_ids)] for row, i in enumerate(bucket)}
        return [rows[i] for i in range(len(samples))]

    def forward_backward(self, batch: Microbatch, step: TrainStep, place: str) -> dict[str, Metric]:
        """Add the gradient of a microbatch: half the squared error, mean over the step's tokens.

        What moves a value by more than ``clip`` gains nothing by it (OpenAI baselines, ppo2, 2017).

        Args:
            batch: with ``old_values`` and ``returns``.
            step: the whole step, for its number of tokens.
            place: which microbatch it is, for errors.

        Raises:
            Fault: the loss, or the gradient so far, is not finite; the weights are untouched.
        """
        assert batch.old_values is not None
        assert batch.returns is not None
        values_BT = compute_values(self._learner.model, batch.token_ids, batch.loss_mask)
        error_BT = (values_BT - batch.returns).square()
        if self._spec.clip is not None:
            near_BT = batch.old_values + (values_BT - batch.old_values).clamp(-self._spec.clip, self._spec.clip)
            error_BT = torch.maximum(error_BT, (near_BT - batch.returns).square())
        loss = 0.5 * (error_BT * batch.loss_mask).sum() / step.num_loss_tokens
        self._learner.backward(loss, f"the value network, {place}")
        return _metrics(batch, values_BT.detach(), loss.detach(), step)

    def optim_step(self, at: int) -> dict[str, float]:
        """Make one update from the gradients."""
        numbers = self._learner.optim_step(at)
        return {"value_grad_norm": numbers["grad_norm"], "value_lr": numbers["lr"]}

    def save(self, folder: Path) -> None:
        """Write everything from which the next update follows."""
        self._learner.save(folder)

    def load(self, folder: Path) -> None:
        """Go on bit for bit where ``save`` was called."""
        self._learner.load(folder)


def _metrics(batch: Microbatch, values_BT: Tensor, loss: Tensor, step: TrainStep) -> dict[str, Metric]:
    """Sum up means over loss tokens; the parts of the loss add up."""
    assert batch.returns is not None
    mask_BT = batch.loss_mask
    tokens = float(mask_BT.sum())
    return {
        "value": Mean(float((values_BT * mask_BT).sum()), tokens),
        "value_squared_error": Mean(float(((values_BT - batch.returns) * mask_BT).square().sum()), tokens),
        "value_loss": Mean(float(loss), tokens / step.num_loss_tokens),
    }
