"""Supervised training as a stage: conversations in, a model out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from dunwu.config.schema import DataSpec, SFTStage
from dunwu.errors import Interrupted, UserError
from dunwu.models.load import load_policy
from dunwu.models.templates import Template
from dunwu.pipeline.context import StageContext
from dunwu.rollout.seeds import sample_seed
from dunwu.tasks.conversations import read_examples
from dunwu.training.supervised import SupervisedTrainer
from dunwu.types import Lesson

ROWS = 40
"""Lines on the terminal for a whole stage, about."""


def run_sft(stage: SFTStage, context: StageContext, source: str, data: Mapping[str, DataSpec]) -> None:
    """Trains the model at ``source``, or goes on from the newest checkpoint, and stores the stage's model.

    Raises:
        UserError: the model or the data cannot be used, or no conversation fits into ``max_tokens``.
        Interrupted: a stop was asked for; the state is saved.
        Fault: the loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    store, progress = context.store, context.progress
    policy = load_policy(source, dtype=stage.model.dtype, device=stage.model.device)
    lessons, left_out = lessons_of(stage, Template(stage.prompt, policy.tokenizer), data)
    updates = stage.epochs * -(-len(lessons) // stage.batch)
    trainer = SupervisedTrainer(policy, stage.optimizer, stage.update, total_steps=updates)
    if checkpoint := store.newest_checkpoint():
        trainer.load(checkpoint.path)
    store.rewind(trainer.version)
    told = f"{len(lessons):,} conversations" + (f" ({left_out:,} longer ones left out)" if left_out else "")
    progress.stage_started(context.name, f"SFT on {told} from {source}, {updates:,} updates", step=trainer.version)

    def check(share: float) -> None:
        if context.stop.requested:
            raise Interrupted("asked to stop")

    while (step := trainer.version) < updates:
        began = time.perf_counter()
        try:
            result = trainer.step(batch(stage, context, lessons, step), at=step, check=check)
        except Interrupted as stop:
            store.save_checkpoint(step, trainer.save, {})
            raise Interrupted(f"{stop}; saved") from None
        timings = {"update": time.perf_counter() - began}
        store.append(step + 1, result.metrics, timings)
        if (step + 1) % max(1, updates // ROWS) == 0 or step + 1 == updates:
            progress.row(step + 1, updates, result.metrics, timings)
        if (step + 1) % stage.checkpoint.every == 0:
            store.save_checkpoint(step + 1, trainer.save, {})
    store.finish(trainer.save_model)


def lessons_of(stage: SFTStage, template: Template, data: Mapping[str, DataSpec]) -> tuple[list[Lesson], int]:
    """Every conversation that fits, in the order of the recipe, and how many do not.

    Raises:
        UserError: a file or a conversation cannot be used, or none fits.
    """
    lessons: list[Lesson] = []
    left_out = 0
    for name in stage.data:
        for example in read_examples(data[name]):
            lesson = template.lesson(example)
            fits = len(lesson.token_ids) <= stage.max_tokens
            left_out += not fits
            lessons += [lesson] if fits else []
    if not lessons:
        raise UserError(f"none of {left_out:,} conversations has at most {stage.max_tokens} tokens", field="max_tokens")
    return lessons, left_out


def batch(stage: SFTStage, context: StageContext, lessons: Sequence[Lesson], step: int) -> list[Lesson]:
    """What update ``step`` learns from: each epoch has every lesson once, in an order of its own."""
    epoch, place = divmod(step, -(-len(lessons) // stage.batch))
    order = np.random.default_rng(sample_seed(context.seed, context.name, "epoch", epoch)).permutation(len(lessons))
    return [lessons[i] for i in order[place * stage.batch :][: stage.batch]]
