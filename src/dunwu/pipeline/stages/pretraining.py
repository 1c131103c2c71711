"""The stage that makes a small base from nothing: corpus, tokenizer, weights."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial

from dunwu.config.schema import PretrainStage
from dunwu.errors import Interrupted
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.stages.model_card import complete_model
from dunwu.pipeline.stages.update_loop import is_shown
from dunwu.pretraining.train import Position, Pretrainer, save_base


def run_pretrain(stage: PretrainStage, context: StageContext) -> None:
    """Train a base, from its newest checkpoint where there is one, and store it in bfloat16 as the stage's model.

    Raises:
        UserError: no document of the corpus fits into ``sequence_length``.
        Interrupted: a stop was asked for; the state is saved.
        Fault: the loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    store, progress = context.store, context.progress
    with context.stop.interruptible():
        pretrainer = Pretrainer(stage, context.seed)
        if checkpoint := store.find_newest_checkpoint():
            pretrainer.load(checkpoint.path, Position(**checkpoint.state))
        store.rewind(pretrainer.position.step)
    description = f"a base from the corpus {stage.corpus}, {stage.steps:,} steps, {stage.tokens:,} tokens at most"
    progress.start_stage(context.name, description, step=pretrainer.position.step)
    context.note("steps", {context.name: stage.steps})
    ledger = CostLedger(store, pretrainer.model)
    while (step := pretrainer.position.step + 1) <= stage.steps:
        try:
            context.stop.check()
        except Interrupted as stop:
            store.save_checkpoint(step - 1, pretrainer.save, asdict(pretrainer.position))
            raise Interrupted(f"{stop}; saved") from None
        progress.show_activity("learning", step - 1, stage.steps)
        began = time.perf_counter()
        numbers = pretrainer.step()
        timings = {"update": time.perf_counter() - began}
        store.append(step, numbers, timings)
        tokens, rows = int(numbers["tokens"]), max(1, int(numbers["tokens"]) // stage.sequence_length)
        lengths = [tokens // rows + (row < tokens % rows) for row in range(rows)]  # nearly: documents are shorter
        ledger.record_training(step, timings["update"], lengths, passes=3)
        if is_shown(step, stage.steps):
            progress.log_step(step, stage.steps, numbers, timings)
        if step % stage.checkpoint.every == 0:
            store.save_checkpoint(step, pretrainer.save, asdict(pretrainer.position))
    store.finish(complete_model(stage, context, partial(save_base, pretrainer.model, pretrainer.tokenizer)))
