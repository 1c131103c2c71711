"""What an RL stage measures of itself: a row of numbers for each rollout, accuracy on held-out problems, seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from dunwu.algorithms.advantages import is_uniform
from dunwu.algorithms.filters import keep_graded
from dunwu.analysis.reasoning import reflection
from dunwu.config.schema import EvaluationSet
from dunwu.errors import Fault
from dunwu.evaluation.evaluate import RULE_PARTS, can_be_right, evaluate, is_right, summarize, to_rows
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import Ledger
from dunwu.pipeline.judges.reward_judge import RewardModel
from dunwu.pipeline.stages.rl_system import Parts
from dunwu.rollout.engine import Engine
from dunwu.runs.checkpoints import due, step_name
from dunwu.types import Estimate, Prompt, Sampling, ScoredGroup, StepResult
from dunwu.verifiers import Grader, Judge

NOBODY: Mapping[str, Judge] = {}
More = Callable[[Sequence[ScoredGroup]], Mapping[str, Estimate]]
"""Results of a set that not every set has."""


def nothing_more(_: Sequence[ScoredGroup]) -> Mapping[str, Estimate]:
    """No further results."""
    return {}


class Stopwatch:
    """Adds up seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Adds the time that the block takes to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def measure(parts: Parts, checkpoint: str) -> None:
    """Evaluates the policy on every set of the recipe, unless it has been done: base against trained."""
    spec = parts.stage.evaluation
    for chosen in spec.sets:
        _measure_set(parts, checkpoint, chosen, chosen.problems, chosen.samples)


def measure_on_the_way(parts: Parts, step: int) -> None:
    """A smaller evaluation on the first set, where the recipe's ``evaluation.every`` is due and it has not been done.

    Not before the first update and not after the last one, where the whole evaluation stands.
    """
    spec, per_rollout = parts.stage.evaluation, parts.stage.updates_per_rollout
    if spec.sets and spec.every and due(step, spec.every, per_rollout) and 0 < step < parts.stage.steps:
        _measure_set(parts, step_name(step), spec.sets[0], spec.during_problems, spec.during_samples)


def _measure_set(parts: Parts, checkpoint: str, chosen: EvaluationSet, problems: int, samples: int) -> None:
    prompts = parts.held_out[chosen.name][:problems]
    examine(
        parts.context,
        parts.engine,
        parts.grader,
        parts.stage.evaluation_sampling,
        parts.ledger,
        checkpoint=checkpoint,
        set_name=chosen.name,
        prompts=prompts,
        samples=samples,
        own=[name for name in parts.stage.evaluation.measures if name not in RULE_PARTS],
    )


def examine(
    context: StageContext,
    engine: Engine,
    grader: Grader,
    sampling: Sampling,
    ledger: Ledger,
    *,
    checkpoint: str,
    set_name: str,
    prompts: Sequence[Prompt],
    samples: int,
    own: Sequence[str] = (),
    judges: Mapping[str, Judge] = NOBODY,
    more: More = nothing_more,
) -> None:
    """Evaluates the engine's weights on a set under the name ``checkpoint``, unless it has been done; ``own`` parts of
    the reward are measured too, ``judges`` are asked about every answer, and ``more`` finds further results.

    Raises:
        Fault: nothing could be graded.
    """
    if any(done.set == set_name for done in context.store.read_evaluations(checkpoint, rows=False)):
        return
    context.progress.start_evaluation(checkpoint, set_name, len(prompts) * samples)
    told = context.progress.count_completions
    seed, began = context.seed, time.perf_counter()
    rules = grader.measuring(own)
    groups = evaluate(engine, prompts, rules, sampling, samples=samples, seed=seed, set_name=set_name, finished=told)
    ledger.answers("evaluation", 0, time.perf_counter() - began, groups)
    if judges:
        context.progress.show_activity("asking the judges")
        groups = [judged(group, judges) for group in groups]
        ledger.judged(0, [judge for judge in judges.values() if isinstance(judge, RewardModel)])
    if not any(keep_graded(group).scores for group in groups):
        raise Fault(f"every verifier failed on every answer: {why_failed(groups)}")
    results = {**summarize(groups, samples), **more(groups)}
    context.store.write_evaluation(checkpoint, set_name, to_rows(groups), results)
    context.progress.log_evaluation(checkpoint, set_name, results)


def judged(group: ScoredGroup, judges: Mapping[str, Judge]) -> ScoredGroup:
    """With what judges give among the parts of its scores."""
    given = {name: judge(group.group) for name, judge in judges.items()}
    scores = (
        replace(score, parts={**score.parts, **{name: values[place] for name, values in given.items()}})
        for place, score in enumerate(group.scores)
    )
    return replace(group, scores=tuple(scores))


def why_failed(groups: Sequence[ScoredGroup]) -> str:
    """The first reason for which a verifier failed."""
    scores = (score for group in groups for score in group.scores if score.status == "verifier_failed")
    return next((score.reason for score in scores), "there are none")


def rollout_metrics(groups: Sequence[ScoredGroup], updates: Sequence[StepResult], drawn: int) -> dict[str, float]:
    """One rollout's numbers: means over its responses, and over its optimizer steps.

    ``drawn`` problems made the groups; ``prompts_too_long`` of them made none. ``updates`` may be fewer than planned.
    ``length_right`` and ``length_wrong`` are left out where there are no such responses. Responses whose verifier
    failed are counted and otherwise left out. Raises Fault where nothing is graded.
    """
    whole, responses, prompts_too_long = groups, sum(len(group.scores) for group in groups), drawn - len(groups)
    groups = [group for group in map(keep_graded, whole) if group.scores]
    if not groups:
        raise Fault(f"every verifier failed on every response of a rollout: {why_failed(whole)}")
    scores = [score for group in groups for score in group.scores]
    completions = [completion for group in groups for completion in group.group.completions]
    closed = np.array([can_be_right(score) for score in scores])
    right = np.array([is_right(score) for score in scores])
    lengths = np.array([len(completion.token_ids) for completion in completions])
    values = {
        "reward": np.mean([score.value for score in scores]),
        "length": lengths.mean(),
        "truncated": np.mean([completion.finish == "length" for completion in completions]),
        "reflections": np.mean([reflection.count_reflections(completion.text) for completion in completions]),
        "uniform_groups": np.mean([is_uniform(np.array([s.value for s in group.scores])) for group in groups]),
        "responses": len(scores),
        "verifier_failed": responses - len(scores),
        "tokens": lengths.sum(),
        "prompts_too_long": prompts_too_long,
        "updates": len(updates),
    }
    for part in {name: None for score in scores for name in score.parts}:  # tasks may have parts of their own
        values[part] = np.mean([score.parts[part] for score in scores if part in score.parts])
    for name, chosen in (("length_right", lengths[right]), ("length_wrong", lengths[closed & ~right])):
        if chosen.size:
            values[name] = chosen.mean()
    for name in updates[0].metrics if updates else ():
        values[name] = np.mean([update.metrics[name] for update in updates])
    return {name: float(value) for name, value in values.items()}
