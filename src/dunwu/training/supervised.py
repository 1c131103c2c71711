"""Supervised training: the assistant's part of each lesson is made more likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dunwu.algorithms.batching import buckets, pad
from dunwu.config.schema import OptimizerSpec, PassSpec
from dunwu.models.agreement import check_head
from dunwu.models.load import Policy
from dunwu.models.logprobs import token_logprobs
from dunwu.training.learner import Learner
from dunwu.types import Lesson, StepResult


class SupervisedTrainer:
    """Cross-entropy on one device.

    Args:
        policy: updated in place.
        optimizer: what updates the weights, and its schedule.
        passes: how a batch is cut into forward and backward passes.
        total_steps: updates in the whole stage, for the schedule.

    Raises:
        UserError: the model makes its logits in a way that is not known here.
    """

    def __init__(self, policy: Policy, optimizer: OptimizerSpec, passes: PassSpec, *, total_steps: int) -> None:
        check_head(policy.model)
        self._learner = Learner(policy, optimizer, total_steps, passes.gradient_checkpointing)
        self._passes = passes
        self.weights, self.save = self._learner.weights, self._learner.save
        self.save_model, self.load = self._learner.save_model, self._learner.load

    @property
    def version(self) -> int:
        """Updates done."""
        return self._learner.version

    def step(
        self, lessons: Sequence[Lesson], *, at: int, check: Callable[[float], None] = lambda share: None
    ) -> StepResult:
        """One update on a batch: every token that carries loss counts alike, whichever lesson it is in.

        Args:
            lessons: the batch, with at least one token that carries loss.
            at: its place in the schedule of the learning rate, counted from 0.
            check: called with the share of the step that is done; may raise to give it up, weights untouched.

        Raises:
            Fault: a loss or a gradient is not finite; weights untouched.
        """
        self._learner.zero_grad()
        lengths = [len(lesson.token_ids) for lesson in lessons]
        parts = buckets(lengths, range(len(lessons)), self._passes.tokens_per_microbatch)
        count, total = sum(int(lesson.loss_mask.sum()) for lesson in lessons), 0.0
        for index, part in enumerate(parts):
            check(index / len(parts))
            loss = -self._logprobs([lessons[i] for i in part]).sum() / count
            self._learner.backward(loss, f"microbatch {index + 1} of {len(parts)}")
            total += loss.item()
        metrics = {"loss": total, "tokens": float(count)} | self._learner.step(at)
        return StepResult(policy_version=self.version, metrics=metrics)

    def _logprobs(self, lessons: Sequence[Lesson]) -> Tensor:
        """B x T, zero where there is no loss."""
        device = self._learner.model.device
        return token_logprobs(
            self._learner.model,
            pad([lesson.token_ids for lesson in lessons], torch.int64).to(device),
            pad([lesson.loss_mask for lesson in lessons], torch.bool).to(device),
            chunk=self._passes.logprob_chunk,
        ).values
