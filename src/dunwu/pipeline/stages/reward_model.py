"""Reward models as a stage: which of two answers is better, or whether one is good (R1, section 3.1)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from dunwu.config.schema import DataSpec, RewardModelStage
from dunwu.errors import UserError, counted
from dunwu.evaluation.estimators import estimate_auroc, estimate_calibration_error, estimate_proportion
from dunwu.models.templates import Template, count_positions
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.judges.answer_judges import PairJudge
from dunwu.pipeline.stages.model_card import complete_model, describe_weights
from dunwu.pipeline.stages.reward_cases import RewardCase, count_tokens, read_cases, split_cases, to_batch
from dunwu.pipeline.stages.update_loop import count_updates, make_updates, resume
from dunwu.rollout.seeds import derive_seed
from dunwu.runs import TRAINED, AnswerRow
from dunwu.training.steps import ScoringTrainer
from dunwu.types import Estimate, Preference

HELD_OUT = "held-out"
"""The name of the set that a reward model is measured on."""


def run_reward_model(stage: RewardModelStage, context: StageContext, source: str, data: Mapping[str, DataSpec]) -> None:
    """Train a scorer from a model, measure it on held-out questions, and store it as the stage's model.

    Args:
        stage: the recipe's.
        context: the run's.
        source: the model.
        data: the recipe's pairs or verdicts by name.

    Raises:
        UserError: the model or the data cannot be used, or nothing is left to train or to measure on.
        Interrupted: a stop was asked for; the state is saved.
        Fault: the loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    progress, store = context.progress, context.store
    progress.show_activity("loading the model")
    torch.manual_seed(derive_seed(context.seed, context.name, "head"))
    with context.stop.interruptible():
        scorer = context.executor.open_scorer(source, longest=stage.max_tokens, new_head=True)
    ledger = CostLedger(store, scorer.model)
    memory = store.path / "judgements.jsonl"
    judge = PairJudge(stage.judge, context.seed, memory, progress.log_message) if stage.judge else None
    progress.show_activity("reading the texts")
    began = time.perf_counter()
    with context.stop.interruptible():
        longest = min(stage.max_tokens, count_positions(scorer.model))
        template = Template(stage.prompt, scorer.tokenizer)
        cases, left_out = read_cases(stage, context.seed, template, data, longest, context.left_out, judge)
    if judge:
        ledger.record_grading(0, time.perf_counter() - began)
    if not cases:
        raise UserError(f"no text of at most {longest} tokens is left to learn from{left_out}", field="data")
    training, held_out = _check_split(stage, cases)
    updates = count_updates(stage, len(training))
    seed = derive_seed(context.seed, context.name, "adapter")
    trainer = context.executor.build_reward_trainer(stage, scorer, total_steps=updates, seed=seed)
    with context.stop.interruptible():
        resume(context, trainer)
    what = f"{len(training):,} {stage.learn_from}{left_out} from {source}, {counted(updates, 'update')}"
    text = f"reward model{describe_weights(stage)} on {what}"
    progress.start_stage(context.name, text, step=trainer.version)
    make_updates(
        stage, context, trainer, training, ledger, to_batch=partial(to_batch, stage), count_tokens=count_tokens
    )
    if trainer.version % stage.checkpoint.every:
        store.save_checkpoint(trainer.version, trainer.save, {})
    progress.show_activity("measuring on held-out texts")
    began = time.perf_counter()
    with context.stop.interruptible():
        results, rows = measure_scorer(trainer, held_out)
    ledger.record_forward("evaluation", 0, time.perf_counter() - began, count_tokens(held_out))
    store.write_evaluation(TRAINED, HELD_OUT, rows, results)
    progress.log_evaluation(TRAINED, HELD_OUT, results)
    store.finish(complete_model(stage, context, trainer.save_model))


def measure_scorer(
    trainer: ScoringTrainer[Any], cases: Sequence[RewardCase]
) -> tuple[dict[str, Estimate], list[AnswerRow]]:
    """Measure accuracy and calibration; of verdicts also how well the scores rank good before bad (``auc``).

    Args:
        trainer: holds the scorer.
        cases: held out.

    Returns:
        The estimates by name, and a row for each case.
    """
    scores = trainer.score([case.tokens for case in cases]).astype(np.float64)
    worse = [case.worse for case in cases if case.worse is not None]
    logits = scores - trainer.score(worse) if worse else scores
    good = np.array([case.good for case in cases])
    right = (logits > 0) == good
    results = {
        "accuracy": estimate_proportion(right.astype(np.float64), 1),
        "calibration_error": estimate_calibration_error(expit(np.abs(logits)), right),
    }
    if not worse and good.any() and not good.all():
        results["auc"] = estimate_auroc(scores, good)
    return results, [_to_row(*scored) for scored in zip(range(len(cases)), cases, scores, right, strict=True)]


def _check_split(stage: RewardModelStage, cases: Sequence[RewardCase]) -> tuple[list[RewardCase], list[RewardCase]]:
    """Split cases. Raises UserError where there is nothing to train or to measure on."""
    training, held_out = split_cases(cases, stage.held_out)
    if stage.learn_from == "verdicts" and len({case.good for case in cases}) == 1:
        raise UserError(f"every verdict is {str(cases[0].good).lower()}: there is nothing to tell apart", field="data")
    if not (training and held_out):
        text = f"{len(cases)} texts leave {len(training)} to train on and {len(held_out)} to measure on"
        raise UserError(text, field="held_out")
    return training, held_out


def _to_row(place: int, case: RewardCase, score: float, right: bool) -> AnswerRow:
    record = case.record
    pair = isinstance(record, Preference)
    return AnswerRow(
        problem_id=record.id,
        level=0,
        language=record.language,
        group=place,
        index=0,
        parts={"accuracy": float(right)},
        tokens=len(case.tokens),
        reflections=0,
        prompt=record.messages[-1].content,
        gold="better" if pair else "good" if case.good else "bad",
        completion=record.chosen if isinstance(record, Preference) else record.response,
        extracted=f"{score:.4f}",
    )
