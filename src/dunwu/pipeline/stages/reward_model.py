"""Reward models as a stage: which of two answers is better, or whether one is good (R1, section 3.1)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit

from dunwu.config.schema import DataSpec, RewardModelStage
from dunwu.errors import UserError, counted
from dunwu.evaluation.estimators import estimate_auroc, estimate_calibration_error, estimate_proportion
from dunwu.models.templates import Template, count_positions
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import Ledger
from dunwu.pipeline.judges.answer_judges import PairJudge
from dunwu.pipeline.stages.model_card import completed
from dunwu.pipeline.stages.update_loop import Check, make_updates, resumed, updates_of
from dunwu.rollout.seeds import derive_seed
from dunwu.runs import TRAINED, EvaluationRow
from dunwu.tasks.datasets.conversations import order_by_judgement, read_labelled, read_preferences
from dunwu.tasks.task import is_held_out
from dunwu.training.reward import PairBatch, RewardTrainer, Tokens, VerdictBatch
from dunwu.training.steps import take_step
from dunwu.types import Estimate, LabelledResponse, Preference, StepResult
from dunwu.verifiers.format import READS

HELD_OUT = "held-out"
"""The part of an answer that a reward model reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A text to score: against another one, which is worse, or by a verdict."""

    record: Preference | LabelledResponse
    tokens: Tokens
    worse: Tokens | None
    good: bool

    @property
    def lengths(self) -> tuple[int, int]:
        """Of both texts; of a single one twice the same."""
        return len(self.tokens), len(self.tokens if self.worse is None else self.worse)


def run_reward_model(stage: RewardModelStage, context: StageContext, source: str, data: Mapping[str, DataSpec]) -> None:
    """Trains a scorer from the model at ``source``, measures it on held-out questions, stores it as the stage's model.

    Raises:
        UserError: the model or the data cannot be used, or nothing is left to train or to measure on.
        Interrupted: a stop was asked for; the state is saved.
        Fault: the loss is not finite, or the disk is full; the newest checkpoint stands.
    """
    context.progress.show_activity("loading the model")
    torch.manual_seed(derive_seed(context.seed, context.name, "head"))
    with context.stop.interruptible():
        scorer = context.executor.open_scorer(source, longest=stage.max_tokens, new_head=True)
    memory = context.store.path / "judgements.jsonl"
    ledger = Ledger(context.store, scorer.model)
    judge = PairJudge(stage.judge, context.seed, memory, context.progress.log_message) if stage.judge else None
    context.progress.show_activity("reading the texts")
    began = time.perf_counter()
    with context.stop.interruptible():
        longest = min(stage.max_tokens, count_positions(scorer.model))
        cases, told = cases_of(
            stage, context.seed, Template(stage.prompt, scorer.tokenizer), data, longest, context.left_out, judge
        )
    if judge:
        ledger.helped(0, time.perf_counter() - began)
    training, held_out = split(cases, stage.held_out)
    if not cases:
        raise UserError(f"no text of at most {longest} tokens is left to learn from{told}", field="data")
    if stage.learn_from == "verdicts" and len({case.good for case in cases}) == 1:
        raise UserError(f"every verdict is {str(cases[0].good).lower()}: there is nothing to tell apart", field="data")
    if not (training and held_out):
        text = f"{len(cases)} texts leave {len(training)} to train on and {len(held_out)} to measure on"
        raise UserError(text, field="held_out")
    updates = updates_of(stage, len(training))
    trainer = context.executor.build_reward_trainer(stage, scorer, total_steps=updates)
    with context.stop.interruptible():
        resumed(context, trainer)
    text = f"reward model on {len(training):,} {stage.learn_from}{told} from {source}, {counted(updates, 'update')}"
    context.progress.start_stage(context.name, text, step=trainer.version)

    def step(chosen: list[Case], number: int, check: Check) -> StepResult:
        texts = [case.tokens for case in chosen]
        if stage.learn_from == "pairs":
            worse = [case.worse for case in chosen if case.worse is not None]
            return take_step(trainer, PairBatch(chosen=texts, rejected=worse), at=number, check=check)
        good = [case.good for case in chosen]
        return take_step(trainer, VerdictBatch(each=texts, good=good), at=number, check=check)

    def spend(chosen: list[Case], number: int, seconds: float) -> None:
        ledger.training(number, seconds, lengths_of(chosen), recomputed=stage.update.gradient_checkpointing)

    make_updates(stage, context, trainer, training, step, spend)
    if trainer.version % stage.checkpoint.every:
        context.store.save_checkpoint(trainer.version, trainer.save, {})
    context.progress.show_activity("measuring on held-out texts")
    began = time.perf_counter()
    with context.stop.interruptible():
        results, rows = measured(trainer, held_out)
    ledger.read("evaluation", 0, time.perf_counter() - began, lengths_of(held_out))
    context.store.write_evaluation(TRAINED, HELD_OUT, rows, results)
    context.progress.log_evaluation(TRAINED, HELD_OUT, results)
    context.store.finish(completed(stage, context, trainer.save_model))


def split(cases: Sequence[Case], share: float) -> tuple[list[Case], list[Case]]:
    """Cases to train on, and those whose questions, in whatever wording, are kept apart.

    A split of its own: a question that the data leave out for benchmarks is not here at all.
    """
    training, held_out = list[Case](), list[Case]()
    for case in cases:
        (held_out if is_held_out(f"reward model/{case.record.question}", share) else training).append(case)
    return training, held_out


def lengths_of(cases: Sequence[Case]) -> list[int]:
    """Tokens of every text, pair by pair."""
    return [length for case in cases for length in case.lengths[: 1 + (case.worse is not None)]]


def cases_of(
    stage: RewardModelStage,
    seed: int,
    template: Template,
    data: Mapping[str, DataSpec],
    longest: int,
    named: Set[str] = frozenset(),
    judge: PairJudge | None = None,
) -> tuple[list[Case], str]:
    """Every text of at most ``longest`` tokens, in the order of the recipe, but for those ``named``; and what was left
    out, in words.

    Raises:
        UserError: a file cannot be used.
    """
    left: dict[str, int] = {}
    if stage.learn_from == "pairs":
        pairs = [(f"{name}:{found[0].id}", found) for name in stage.data for found in read_preferences(data[name])]
        read = [found for place, found in pairs if place not in named]
        left["in a benchmark"] = len(pairs) - len(read)
        records: Sequence[Preference | LabelledResponse] = decided_pairs(stage, read, judge)
        left["too near"] = len(read) - len(records)
    else:
        verdicts = [(f"{name}:{record.id}", record) for name in stage.data for record in read_labelled(data[name])]
        records = [record for place, record in verdicts if place not in named]
        left["in a benchmark"] = len(verdicts) - len(records)
    cases = [_case(record, stage.input, template) for record in records]
    alike = [case.worse is not None and np.array_equal(case.tokens, case.worse) for case in cases]
    left["alike in what is read"] = sum(alike)
    cases = [case for case, same in zip(cases, alike, strict=True) if not same]
    fitting = [case for case in cases if max(case.lengths) <= longest]
    left["too long"] = len(cases) - len(fitting)
    if stage.learn_from == "pairs" and stage.balance_lengths:
        before = len(fitting)
        fitting = balanced(fitting, seed)
        left["to balance lengths"] = before - len(fitting)
    told = ", ".join(f"{count:,} {why}" for why, count in left.items() if count)
    return fitting, f" ({told} left out)" if told else ""


def decided_pairs(
    stage: RewardModelStage, read: Sequence[tuple[Preference, float | None]], judge: PairJudge | None
) -> list[Preference]:
    """The pairs whose answers are more than ``margin`` apart, the better one called chosen; ``judge`` says where the
    data do not, and where nobody does a pair is taken as it stands."""
    unsaid = {place: pair for place, (pair, said) in enumerate(read) if said is None}
    judged = judge.ahead(unsaid, READS[stage.input]) if judge else {}
    kept = []
    for place, (pair, said) in enumerate(read):
        ahead = judged.get(place, said)
        if ahead is None or abs(ahead) > stage.margin:
            kept.append(pair if ahead is None else order_by_judgement(pair, ahead))
    return kept


def balanced(cases: Sequence[Case], seed: int) -> list[Case]:
    """As many pairs whose better text is the longer one as pairs whose better text is the shorter one.

    A model that learns from others learns that longer is better (R1, section 3.1). Those of equal length stay; of the
    surplus a random part goes.
    """
    signs = np.array([better - worse for better, worse in (case.lengths for case in cases)])
    longer, shorter = np.flatnonzero(signs > 0), np.flatnonzero(signs < 0)
    surplus = longer if len(longer) > len(shorter) else shorter
    spare = abs(len(longer) - len(shorter))
    gone = set(np.random.default_rng(seed).choice(surplus, spare, replace=False).tolist() if spare else ())
    return [case for place, case in enumerate(cases) if place not in gone]


def measured(trainer: RewardTrainer, cases: Sequence[Case]) -> tuple[dict[str, Estimate], list[EvaluationRow]]:
    """Accuracy and calibration on ``cases``; of verdicts also how well the scores rank good before bad (``auc``)."""
    scores = trainer.scores([case.tokens for case in cases]).astype(np.float64)
    worse = [case.worse for case in cases if case.worse is not None]
    logits = scores - trainer.scores(worse) if worse else scores
    good = np.array([case.good for case in cases])
    right = (logits > 0) == good
    results = {
        "accuracy": estimate_proportion(right.astype(np.float64), 1),
        "calibration_error": estimate_calibration_error(expit(np.abs(logits)), right),
    }
    if not worse and good.any() and not good.all():
        results["auc"] = estimate_auroc(scores, good)
    return results, [_row(*told) for told in zip(cases, scores, right, strict=True)]


def _case(record: Preference | LabelledResponse, reads: str, template: Template) -> Case:
    def tokens(answer: str) -> Tokens:
        return template.encode_answer(record.id, record.messages, READS[reads](answer))

    if isinstance(record, LabelledResponse):
        return Case(record=record, tokens=tokens(record.response), worse=None, good=record.good)
    return Case(record=record, tokens=tokens(record.chosen), worse=tokens(record.rejected), good=True)


def _row(case: Case, score: float, right: bool) -> EvaluationRow:
    record = case.record
    pair = isinstance(record, Preference)
    return EvaluationRow(
        problem_id=record.id,
        level=0,
        language=record.language,
        sample=0,
        correct=int(right),
        tokens=len(case.tokens),
        reflections=0,
        prompt=record.messages[-1].content,
        gold="better" if pair else "good" if case.good else "bad",
        text=record.chosen if isinstance(record, Preference) else record.response,
        extracted=f"{score:.4f}",
    )
