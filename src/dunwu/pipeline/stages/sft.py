"""Supervised training as a stage: conversations in, a model out."""

from __future__ import annotations

from collections.abc import Mapping, Set

from dunwu.config.schema import DataSpec, SFTStage
from dunwu.errors import UserError, counted
from dunwu.models.templates import Template, count_positions
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.stages.model_card import complete_model, describe_weights
from dunwu.pipeline.stages.update_loop import count_updates, make_updates, resume
from dunwu.rollout.seeds import derive_seed
from dunwu.tasks.datasets.conversations import read_examples
from dunwu.types import TokenizedExample


def run_sft(stage: SFTStage, context: StageContext, source: str, data: Mapping[str, DataSpec]) -> None:
    """Train a model, or go on from the stage's newest checkpoint, and store the stage's model.

    Args:
        stage: the recipe's.
        context: the run's.
        source: the model.
        data: the recipe's conversations by name.

    Raises:
        UserError: the model or the data cannot be used, or no conversation fits into ``max_tokens``.
        Interrupted: a stop was asked for; the state is saved.
        Fault: the loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    progress, executor = context.progress, context.executor
    progress.show_activity("loading the model")
    with context.stop.interruptible():
        policy = executor.open_policy(source, longest=stage.max_tokens, learns=True, generates=False)
        longest = min(stage.max_tokens, count_positions(policy.model))
        progress.show_activity("reading the conversations")
        template = Template(stage.prompt, policy.tokenizer)
        examples, too_long = tokenize_examples(stage, template, data, longest, context.left_out)
        updates = count_updates(stage, len(examples))
        seed = derive_seed(context.seed, context.name, "adapter")
        trainer = executor.build_supervised_trainer(stage, policy, total_steps=updates, seed=seed)
        resume(context, trainer)
    what = f"{len(examples):,} conversations" + (f" ({too_long:,} longer ones left out)" if too_long else "")
    text = f"SFT{describe_weights(stage)} on {what} from {source}, {counted(updates, 'update')}"
    progress.start_stage(context.name, text, step=trainer.version)
    make_updates(
        stage,
        context,
        trainer,
        examples,
        CostLedger(context.store, policy.model),
        to_batch=lambda chosen: chosen,
        count_tokens=lambda chosen: [len(example.token_ids) for example in chosen],
    )
    context.store.finish(complete_model(stage, context, trainer.save_model))


def tokenize_examples(
    stage: SFTStage,
    template: Template,
    data: Mapping[str, DataSpec],
    longest: int,
    left_out: Set[str] = frozenset(),
) -> tuple[list[TokenizedExample], int]:
    """Tokenize every conversation that fits, in the recipe's order.

    A conversation is one tokenized example, unless its template rewrites earlier turns.

    Args:
        stage: the recipe's.
        template: of the model.
        data: the recipe's conversations by name.
        longest: tokens that an example may have.
        left_out: conversations that a benchmark has too, by name.

    Returns:
        The examples, and how many are longer.

    Raises:
        UserError: a file or a conversation cannot be used, or none fits.
    """
    fitting: list[TokenizedExample] = []
    too_long = 0
    for name in stage.data:
        for example in (one for one in read_examples(data[name]) if f"{name}:{one.id}" not in left_out):
            for tokenized in template.tokenize_example(example):
                fits = len(tokenized.token_ids) <= longest
                too_long += not fits
                fitting += [tokenized] if fits else []
    if not fitting:
        raise UserError(f"none of {too_long:,} conversations has at most {longest} tokens", field="max_tokens")
    return fitting, too_long
