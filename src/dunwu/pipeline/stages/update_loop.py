"""A stage that makes one update after another from data that are all there: progress, checkpoints, stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from dunwu.config.schema import DataStage
from dunwu.errors import Interrupted
from dunwu.pipeline.context import StageContext
from dunwu.rollout.seeds import derive_seed
from dunwu.types import StepResult

ROWS = 40
"""Lines on the terminal for a whole stage, about."""
Check = Callable[[float], None]
T = TypeVar("T")


class Resumable(Protocol):
    """What the loop sees of a trainer."""

    @property
    def version(self) -> int:
        """Updates done."""

    def save(self, folder: Path) -> None:
        """Writes everything from which the next update follows."""

    def load(self, folder: Path) -> None:
        """Goes on bit for bit where ``save`` was called."""


def resumed(context: StageContext, trainer: Resumable) -> None:
    """Takes the newest checkpoint, where there is one, and cuts off whatever is past it."""
    if checkpoint := context.store.newest_checkpoint():
        trainer.load(checkpoint.path)
    context.store.rewind(trainer.version)


def updates_of(stage: DataStage, items: int) -> int:
    """Optimizer steps in the whole stage; the last of an epoch may learn from fewer."""
    return stage.epochs * -(-items // stage.batch)


def make_updates(
    stage: DataStage,
    context: StageContext,
    trainer: Resumable,
    items: Sequence[T],
    step: Callable[[list[T], int, Check], StepResult],
    spend: Callable[[list[T], int, float], None],
) -> None:
    """Calls ``step(batch, number, check)`` for every update that is left; each is written down, and some are saved.

    ``spend(batch, number, seconds)`` enters what one cost into the ledger, when so many are done.

    Raises:
        Interrupted: a stop was asked for; the state before the update under way is saved.
        Fault: a loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    store, updates = context.store, updates_of(stage, len(items))
    context.note("steps", {context.name: updates})

    def check(share: float) -> None:
        context.stop.check()

    while (number := trainer.version) < updates:
        context.progress.show_activity("learning", number, updates)
        began = time.perf_counter()
        chosen = batch(items, stage.batch, context, number)
        try:
            result = step(chosen, number, check)
        except Interrupted as stop:
            store.save_checkpoint(number, trainer.save, {})
            raise Interrupted(f"{stop}; saved") from None
        timings = {"update": time.perf_counter() - began}
        store.append(number + 1, result.metrics, timings)
        spend(chosen, number + 1, timings["update"])
        if is_shown(number + 1, updates):
            context.progress.log_step(number + 1, updates, result.metrics, timings)
        if (number + 1) % stage.checkpoint.every == 0:
            store.save_checkpoint(number + 1, trainer.save, {})


def is_shown(step: int, steps: int) -> bool:
    """Whether a person is told of a step, one of about ROWS."""
    return step % max(1, steps // ROWS) == 0 or step == steps


def batch(items: Sequence[T], size: int, context: StageContext, step: int) -> list[T]:
    """What update ``step`` learns from: each epoch has every item once, in an order of its own."""
    epoch, place = divmod(step, -(-len(items) // size))
    order = _order(derive_seed(context.seed, context.name, "epoch", epoch), len(items))
    return [items[i] for i in order[place * size :][:size]]


@lru_cache(maxsize=1)
def _order(seed: int, count: int) -> list[int]:
    order: list[int] = np.random.default_rng(seed).permutation(count).tolist()
    return order
