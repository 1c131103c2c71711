"""A stage that makes one update after another from data that are all there: progress, checkpoints, stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from dunwu.config.schema import DataStage
from dunwu.errors import Interrupted
from dunwu.models.flops import count_training_passes
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.rollout.seeds import derive_seed
from dunwu.training.steps import DataTrainer, take_step

ROWS = 40
"""Lines on the terminal for a whole stage, about."""
T = TypeVar("T")
BatchT = TypeVar("BatchT", contravariant=True)


def resume(context: StageContext, trainer: DataTrainer[BatchT]) -> None:
    """Take the newest checkpoint, where there is one, and cut off whatever is past it."""
    if checkpoint := context.store.find_newest_checkpoint():
        trainer.load(checkpoint.path)
    context.store.rewind(trainer.version)


def count_updates(stage: DataStage, items: int) -> int:
    """Count the optimizer steps of the whole stage; the last of an epoch may learn from fewer."""
    return stage.epochs * -(-items // stage.batch)


def make_updates(
    stage: DataStage,
    context: StageContext,
    trainer: DataTrainer[BatchT],
    items: Sequence[T],
    ledger: CostLedger,
    *,
    to_batch: Callable[[list[T]], BatchT],
    count_tokens: Callable[[list[T]], list[int]],
) -> None:
    """Make every update that is left; each is written down, and some are saved.

    Args:
        stage: the recipe's.
        context: the run's.
        trainer: holds the weights.
        items: all that there is to learn from.
        ledger: takes what each update cost.
        to_batch: makes of an update's items what the trainer takes.
        count_tokens: gives the length of every sequence in an update's items.

    Raises:
        Interrupted: a stop was asked for; the state before the update under way is saved.
        Fault: a loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    store, updates = context.store, count_updates(stage, len(items))
    context.note("steps", {context.name: updates})

    def check(share: float) -> None:
        context.stop.check()

    while (number := trainer.version) < updates:
        context.progress.show_activity("learning", number, updates)
        began = time.perf_counter()
        chosen = choose_items(items, stage.batch, context, number)
        try:
            result = take_step(trainer, to_batch(chosen), at=number, check=check)
        except Interrupted as stop:
            store.save_checkpoint(number, trainer.save, {})
            raise Interrupted(f"{stop}; saved") from None
        timings = {"update": time.perf_counter() - began}
        store.append(number + 1, result.metrics, timings)
        passes = count_training_passes(stage)
        ledger.record_training(number + 1, timings["update"], count_tokens(chosen), passes=passes)
        if is_shown(number + 1, updates):
            context.progress.log_step(number + 1, updates, result.metrics, timings)
        if (number + 1) % stage.checkpoint.every == 0:
            store.save_checkpoint(number + 1, trainer.save, {})


def is_shown(step: int, steps: int) -> bool:
    """Return whether a step is one of about ROWS that people see."""
    return step % max(1, steps // ROWS) == 0 or step == steps


def choose_items(items: Sequence[T], size: int, context: StageContext, step: int) -> list[T]:
    """Choose what update ``step`` learns from: each epoch has every item once, in an order of its own.

    Args:
        items: all that there is to learn from.
        size: items of an update.
        context: the stage's, whose seed and name make the order.
        step: updates done.
    """
    epoch, place = divmod(step, -(-len(items) // size))
    order = _shuffle(derive_seed(context.seed, context.name, "epoch", epoch), len(items))
    return [items[i] for i in order[place * size :][:size]]


@lru_cache(maxsize=1)
def _shuffle(seed: int, count: int) -> list[int]:
    order: list[int] = np.random.default_rng(seed).permutation(count).tolist()
    return order
