"""One optimizer step, taken part by part: whoever drives it may give it up before the weights have changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from jaxtyping import Float32, Int32

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


class DataTrainer(StepTrainer[BatchT], Protocol[BatchT]):
    """A trainer that learns from given batches: conversations, pairs, verdicts."""

    @property
    def version(self) -> int:
        """Updates done."""

    def save(self, folder: Path) -> None:
        """Write everything from which the next update follows."""

    def save_model(self, folder: Path) -> None:
        """Write the model alone, an ordinary transformers folder."""

    def load(self, folder: Path) -> None:
        """Go on where ``save`` was called; bit for bit, if on as many ranks."""


class ScoringTrainer(DataTrainer[BatchT], Protocol[BatchT]):
    """The same of a reward model, which is asked for scores too."""

    def score(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> Float32[np.ndarray, " N"]:
        """Compute the score of each text."""


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
