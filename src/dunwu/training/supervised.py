"""Supervised training: the assistant's part of each example is made more likely."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dunwu.algorithms.batching import EMPTY_ROW, pad_rows
from dunwu.config.schema import AdapterSpec, OptimizerSpec, PassSpec
from dunwu.models.agreement import check_head
from dunwu.models.logprobs import compute_token_logprobs
from dunwu.models.policy import Policy
from dunwu.training.learner import Learner
from dunwu.training.rank_group import ONE_RANK, RankGroup
from dunwu.types import StepResult, TokenizedExample


class SupervisedTrainer:
    """Cross-entropy, in one process or as one of several ranks.

    Args:
        policy: updated in place.
        optimizer: what updates the weights, and its schedule.
        passes: how a batch is cut into forward and backward passes.
        total_steps: updates in the whole stage, for the schedule.
        adapter: what learns in the place of the weights; None: all of them.
        seed: of an adapter's first weights.
        ranks: who holds the model. Every rank gets the whole batch, and takes its share.

    Raises:
        UserError: the model makes its logits in a way that is not known here, or cannot have the adapter.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: OptimizerSpec,
        passes: PassSpec,
        *,
        total_steps: int,
        adapter: AdapterSpec | None = None,
        seed: int = 0,
        ranks: RankGroup = ONE_RANK,
    ) -> None:
        check_head(policy.model)
        self._learner = Learner(policy, optimizer, total_steps, passes.gradient_checkpointing, adapter, seed, ranks)
        self._passes, self._ranks = passes, ranks
        self._examples: Sequence[TokenizedExample] = ()
        self._parts: list[list[int]] = []
        self._count, self._loss = 0, 0.0
        self.export_weights, self.save = self._learner.export_weights, self._learner.save
        self.save_model, self.load = self._learner.save_model, self._learner.load

    @property
    def version(self) -> int:
        """Updates done."""
        return self._learner.version

    def begin_step(self, batch: Sequence[TokenizedExample]) -> int:
        """See ``steps.StepTrainer``. Every token that carries loss counts alike; there must be one in the batch."""
        self._learner.zero_grad()
        lengths = [len(example.token_ids) for example in batch]
        self._examples = batch
        self._parts = self._ranks.share_buckets(lengths, self._passes.tokens_per_microbatch)
        self._count, self._loss = sum(int(example.loss_mask.sum()) for example in batch), 0.0
        return len(self._parts)

    def forward_backward(self, part: int) -> None:
        """See ``steps.StepTrainer``."""
        loss = -self._logprobs([self._examples[i] for i in self._parts[part]]).sum() / self._count
        self._learner.backward(loss, f"microbatch {part + 1} of {len(self._parts)}")
        self._loss += loss.item()

    def optim_step(self, *, at: int) -> StepResult:
        """See ``steps.StepTrainer``."""
        self._learner.check_step()
        loss = sum(self._ranks.gather(self._loss))
        metrics = {"loss": loss, "tokens": float(self._count)} | self._learner.optim_step(at)
        return StepResult(policy_version=self.version, metrics=metrics)

    def _logprobs(self, examples: Sequence[TokenizedExample]) -> Tensor:
        """Compute log-probabilities, B x T, zero where there is no loss."""
        device = self._learner.model.device
        return compute_token_logprobs(
            self._learner.model,
            pad_rows([example.token_ids for example in examples] or [EMPTY_ROW], torch.int64).to(device),
            pad_rows([example.loss_mask for example in examples] or [EMPTY_ROW], torch.bool).to(device),
            chunk=self._passes.logprob_chunk,
        ).values
