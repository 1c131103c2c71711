"""One optimizer step, taken part by part: whoever drives it may give it up before the weights have changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from dunwu.types import StepResult

BatchT = TypeVar("BatchT", contravariant=True)


class StepTrainer(Protocol[BatchT]):
    """What every trainer does with a batch. Only records and numbers cross this face, so it can be another process's.

    A step that is given up needs no call: the next ``begin_step`` forgets what it has gathered.
    """

    def begin_step(self, batch: BatchT) -> int:
        """Take a batch and forget the gradients.

        Returns:
            How many parts the batch is computed in.
        """

    def forward_backward(self, part: int) -> None:
        """Add the gradient of a part, counted from 0.

        Raises:
            Fault: the loss, or the gradient so far, is not finite; the weights are untouched.
        """

    def optim_step(self, *, at: int) -> StepResult:
        """Update the weights from the gradients of all parts.

        Args:
            at: the step's place in the schedule of the learning rate, counted from 0.
        """


def take_step(
    trainer: StepTrainer[BatchT], batch: BatchT, *, at: int, check: Callable[[float], None] = lambda share: None
) -> StepResult:
    """Take one optimizer step on a batch.

    Args:
        trainer: whoever holds the weights.
        batch: what it learns from.
        at: the step's place in the schedule of the learning rate, counted from 0.
        check: called in this process before each part, with the share of the step that is done; it may raise to give
            the step up, and the weights are untouched.

    Raises:
        Fault: a loss or a gradient is not finite; the weights are untouched.
    """
    parts = trainer.begin_step(batch)
    for part in range(parts):
        check(part / parts)
        trainer.forward_backward(part)
    return trainer.optim_step(at=at)
