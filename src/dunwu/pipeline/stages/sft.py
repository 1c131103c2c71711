"""Supervised training as a stage: conversations in, a model out."""

from __future__ import annotations

from collections.abc import Mapping, Set

from dunwu.config.schema import DataSpec, SupervisedStage
from dunwu.errors import UserError, counted
from dunwu.models.templates import Template, count_positions
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import Ledger
from dunwu.pipeline.stages.model_card import completed
from dunwu.pipeline.stages.update_loop import Check, make_updates, resumed, updates_of
from dunwu.tasks.datasets.conversations import read_examples
from dunwu.training.steps import take_step
from dunwu.types import StepResult, TokenizedExample


def run_sft(stage: SupervisedStage, context: StageContext, source: str, data: Mapping[str, DataSpec]) -> None:
    """Trains the model at ``source``, or goes on from the newest checkpoint, and stores the stage's model.

    Raises:
        UserError: the model or the data cannot be used, or no conversation fits into ``max_tokens``.
        Interrupted: a stop was asked for; the state is saved.
        Fault: the loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    context.progress.show_activity("loading the model")
    with context.stop.interruptible():
        executor = context.executor
        policy = executor.open_policy(source, longest=stage.max_tokens, learns=True, generates=False)
        longest = min(stage.max_tokens, count_positions(policy.model))
        context.progress.show_activity("reading the conversations")
        lessons, left_out = lessons_of(stage, Template(stage.prompt, policy.tokenizer), data, longest, context.left_out)
        updates = updates_of(stage, len(lessons))
        trainer = executor.build_supervised_trainer(stage, policy, total_steps=updates)
        resumed(context, trainer)
    told = f"{len(lessons):,} conversations" + (f" ({left_out:,} longer ones left out)" if left_out else "")
    text = f"SFT on {told} from {source}, {counted(updates, 'update')}"
    context.progress.start_stage(context.name, text, step=trainer.version)
    ledger = Ledger(context.store, policy.model)

    def step(chosen: list[TokenizedExample], number: int, check: Check) -> StepResult:
        return take_step(trainer, chosen, at=number, check=check)

    def spend(chosen: list[TokenizedExample], number: int, seconds: float) -> None:
        lengths = [len(lesson.token_ids) for lesson in chosen]
        ledger.training(number, seconds, lengths, recomputed=stage.update.gradient_checkpointing)

    make_updates(stage, context, trainer, lessons, step, spend)
    context.store.finish(completed(stage, context, trainer.save_model))


def lessons_of(
    stage: SupervisedStage,
    template: Template,
    data: Mapping[str, DataSpec],
    longest: int,
    named: Set[str] = frozenset(),
) -> tuple[list[TokenizedExample], int]:
    """Every lesson of at most ``longest`` tokens, in the recipe's order, but for conversations ``named``, and how many
    are longer. A conversation is one lesson, unless its template rewrites earlier turns.

    Raises:
        UserError: a file or a conversation cannot be used, or none fits.
    """
    lessons: list[TokenizedExample] = []
    left_out = 0
    for name in stage.data:
        for example in (one for one in read_examples(data[name]) if f"{name}:{one.id}" not in named):
            for lesson in template.tokenize_example(example):
                fits = len(lesson.token_ids) <= longest
                left_out += not fits
                lessons += [lesson] if fits else []
    if not lessons:
        raise UserError(f"none of {left_out:,} conversations has at most {longest} tokens", field="max_tokens")
    return lessons, left_out
