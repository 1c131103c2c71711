"""The stage that makes a small base from nothing: corpus, tokenizer, weights."""

from __future__ import annotations

from collections.abc import Mapping

from dunwu.config.schema import PretrainStage
from dunwu.errors import Interrupted
from dunwu.pipeline.context import StageContext
from dunwu.pretraining.train import pretrain, save_base


def run_pretrain(stage: PretrainStage, context: StageContext) -> None:
    """Trains the base and stores it as the stage's model, in bfloat16.

    Raises:
        UserError: no document of the corpus fits into ``sequence_length``.
        Interrupted: a stop was asked for. Nothing is kept.
        Fault: the loss is not finite.
    """
    store, progress = context.store, context.progress
    store.rewind(0)
    progress.stage_started(context.name, f"a base from the corpus {stage.corpus}, {stage.tokens:,} tokens")

    def report(step: int, numbers: Mapping[str, float]) -> None:
        store.append(step, numbers, {})
        progress.message(f"{step:>6}/{stage.steps}  loss {numbers['loss']:.4f}  tokens {numbers['tokens']:,.0f}")

    try:
        with context.stop.interruptible():
            model, tokenizer = pretrain(stage, context.seed, report)
    except Interrupted as stop:
        raise Interrupted(f"{stop}; stage {context.name} will begin again: a base is made in one go") from None
    store.finish(lambda folder: save_base(model, tokenizer, folder))
