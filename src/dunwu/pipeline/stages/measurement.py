"""Evaluation of a policy on held-out problems, before, during and after a stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dunwu.algorithms.filters import keep_graded
from dunwu.config.schema import EvaluationSet, RLStage
from dunwu.errors import Fault
from dunwu.evaluation.evaluate import RULE_PARTS, evaluate, summarize, to_rows
from dunwu.evaluation.perplexity import EncodedPassage, TextScorer, measure_perplexity
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.judges.reward_model import RewardModel
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.rollout.engine import Engine
from dunwu.runs.checkpoints import format_step, is_due
from dunwu.types import Estimate, Prompt, Sampling, ScoredGroup
from dunwu.verifiers import Judge, RewardGrader

NO_JUDGES: Mapping[str, Judge] = {}
FurtherResults = Callable[[Sequence[ScoredGroup]], Mapping[str, Estimate]]
"""Results of a set that not every set has."""


def no_results(groups: Sequence[ScoredGroup]) -> Mapping[str, Estimate]:
    """Find nothing further."""
    return {}


def measure_policy(system: RLSystem, checkpoint: str) -> None:
    """Evaluate the policy on every set and text of the recipe, unless it has been done: base against trained."""
    for chosen in system.stage.evaluation.sets:
        _measure_set(system, checkpoint, chosen, chosen.problems, chosen.samples)
    _measure_texts(system, checkpoint)


def measure_midway(system: RLSystem, step: int) -> None:
    """Evaluate less of the first set, and the texts, unless it has been done.

    Args:
        system: the stage's.
        step: updates done.
    """
    spec = system.stage.evaluation
    for first in spec.sets[:1]:
        _measure_set(system, format_step(step), first, spec.during_problems, spec.during_samples)
    _measure_texts(system, format_step(step))


def is_midway_due(stage: RLStage, step: int) -> bool:
    """Return whether ``evaluation.every`` is due: not before the first update, nor after the last.

    Args:
        stage: the recipe's.
        step: updates done.
    """
    every = stage.evaluation.every
    return bool(every) and is_due(step, every, stage.updates_per_rollout) and 0 < step < stage.steps


def _measure_set(system: RLSystem, checkpoint: str, chosen: EvaluationSet, problems: int, samples: int) -> None:
    measure_set(
        system.context,
        system.engine,
        system.grader,
        system.stage.evaluation_sampling,
        system.ledger,
        checkpoint=checkpoint,
        set_name=chosen.name,
        prompts=system.held_out[chosen.name][:problems],
        samples=samples,
        own=[name for name in system.stage.evaluation.measures if name not in RULE_PARTS],
    )


def _measure_texts(system: RLSystem, checkpoint: str) -> None:
    for name, passages in system.texts.items():
        score = system.trainer.compute_text_logprobs
        measure_text(system.context, score, system.ledger, checkpoint=checkpoint, set_name=name, passages=passages)


def measure_text(
    context: StageContext,
    score: TextScorer,
    ledger: CostLedger,
    *,
    checkpoint: str,
    set_name: str,
    passages: Sequence[EncodedPassage],
) -> None:
    """Measure the perplexity of a text, unless it has been done.

    Args:
        context: the stage's.
        score: the model.
        ledger: takes what it cost.
        checkpoint: the name of the weights.
        set_name: the name of the text.
        passages: encoded by the model's tokenizer.

    Raises:
        Fault: the model gives no numbers.
    """
    if any(done.set == set_name for done in context.store.read_evaluations(checkpoint, rows=False)):
        return
    context.progress.show_activity(f"reading {set_name}")
    began = time.perf_counter()
    results = measure_perplexity(passages, score)
    lengths = [len(passage.token_ids) for passage in passages]
    ledger.record_forward("evaluation", 0, time.perf_counter() - began, lengths)
    context.store.write_evaluation(checkpoint, set_name, (), results)
    context.progress.log_evaluation(checkpoint, set_name, results)


def measure_set(
    context: StageContext,
    engine: Engine,
    grader: RewardGrader,
    sampling: Sampling,
    ledger: CostLedger,
    *,
    checkpoint: str,
    set_name: str,
    prompts: Sequence[Prompt],
    samples: int,
    own: Sequence[str] = (),
    judges: Mapping[str, Judge] = NO_JUDGES,
    further: FurtherResults = no_results,
) -> None:
    """Evaluate an engine's weights on a set, unless it has been done.

    Args:
        context: the stage's.
        engine: generates.
        grader: decides what is right.
        sampling: how answers are drawn.
        ledger: takes what it cost.
        checkpoint: the name of the weights.
        set_name: the name of the set.
        prompts: the set's.
        samples: completions of each prompt.
        own: parts of the reward by the user's functions that are measured too.
        judges: asked about every answer, by the names of their parts.
        further: finds further results.

    Raises:
        Fault: nothing could be graded.
    """
    if any(done.set == set_name for done in context.store.read_evaluations(checkpoint, rows=False)):
        return
    progress = context.progress
    progress.start_evaluation(checkpoint, set_name, len(prompts) * samples)
    began = time.perf_counter()
    groups = evaluate(
        engine,
        prompts,
        grader.measure_with(own),
        sampling,
        samples=samples,
        seed=context.seed,
        set_name=set_name,
        finished=progress.count_completions,
    )
    ledger.record_generation("evaluation", 0, time.perf_counter() - began, groups)
    if judges:
        progress.show_activity("asking the judges")
        groups = [add_judgements(group, judges) for group in groups]
        ledger.record_judges(0, [judge for judge in judges.values() if isinstance(judge, RewardModel)])
    if not any(keep_graded(group).scores for group in groups):
        raise Fault(f"every verifier failed on every answer: {find_failure(groups)}")
    results = {**summarize(groups, samples), **further(groups)}
    context.store.write_evaluation(checkpoint, set_name, to_rows(groups), results)
    progress.log_evaluation(checkpoint, set_name, results)


def add_judgements(group: ScoredGroup, judges: Mapping[str, Judge]) -> ScoredGroup:
    """Return the group with what judges give among the parts of its scores."""
    given = {name: judge(group.group) for name, judge in judges.items()}
    scores = (
        replace(score, parts={**score.parts, **{name: values[place] for name, values in given.items()}})
        for place, score in enumerate(group.scores)
    )
    return replace(group, scores=tuple(scores))


def find_failure(groups: Sequence[ScoredGroup]) -> str:
    """Return the first reason for which a verifier failed."""
    scores = (score for group in groups for score in group.scores if score.status == "verifier_failed")
    return next((score.reason for score in scores), "there are none")
