"""The numbers of a rollout, and all that is written down and said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dunwu.algorithms.filters import keep_graded
from dunwu.algorithms.group_baselines import is_uniform
from dunwu.analysis.reasoning import reflection
from dunwu.errors import Fault
from dunwu.evaluation.evaluate import can_be_right, is_right
from dunwu.pipeline.stages.alarms import Alarms
from dunwu.pipeline.stages.measurement import find_failure
from dunwu.pipeline.stages.rl_state import Batch, Cursor, Rollout
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.types import GradedSample, ScoredGroup, StepResult

NOTHING_TO_LEARN = "in no group was one answer worth more than another: nothing to learn, until that changes"


class RolloutRecorder:
    """Writes down each rollout of a stage, and says what has gone wrong with it.

    Args:
        system: the stage's.
    """

    def __init__(self, system: RLSystem) -> None:
        self._system = system
        self._alarms = Alarms(system.stage, system.context.store)
        self._teaches = True

    def record(
        self,
        before: Cursor,
        after: Cursor,
        rollout: Rollout,
        batch: Batch,
        updates: Sequence[StepResult],
        seconds: Mapping[str, float],
    ) -> None:
        """Store a rollout's metrics, costs and completions, and show them.

        Args:
            before: where the stage stood before it.
            after: where it stands now.
            rollout: what was generated.
            batch: what was learned from it.
            updates: the optimizer steps.
            seconds: how long its parts took, by name.

        Raises:
            Fault: nothing was graded, or the disk is full.
        """
        stage, store = self._system.stage, self._system.context.store
        step = after.updates(stage)
        draws = rollout.position - before.position + rollout.from_curriculum
        metrics = summarize_rollout(rollout.groups, updates, draws=draws) | batch.metrics
        version = self._system.trainer.policy_version - len(updates)
        metrics |= measure_staleness([one.sample for one in batch.fresh], version)
        metrics |= {"curriculum": float(rollout.from_curriculum)} if before.curriculum else {}
        metrics |= {"replayed": float(len(batch.replayed))} if before.replay else {}
        store.append(step, metrics, seconds)
        replayed = sum(len(one.sample.token_ids) for one in batch.replayed)
        judges = self._system.judges.values()
        self._system.ledger.record_rollout(step, stage, rollout.groups, seconds, replayed=replayed, judges=judges)
        store.write_rollouts(step, rollout.groups)
        self._system.context.progress.log_step(step, stage.steps, metrics, seconds)
        self._warn(step, metrics, rollout.groups)

    def conclude(self) -> None:
        """Say how the stage stands at its end."""
        if line := self._alarms.summarize():
            self._system.context.progress.log_message(line)

    def _warn(self, step: int, metrics: Mapping[str, float], groups: Sequence[ScoredGroup]) -> None:
        message = self._system.context.progress.log_message
        teaches = metrics["uniform_groups"] < 1.0 or self._system.stage.value is not None
        if self._teaches and not teaches:
            message(NOTHING_TO_LEARN)
        self._teaches = teaches
        for line in self._alarms.check(step, metrics):
            message(line)
        if failed := metrics["verifier_failed"]:
            message(f"{failed:.0f} responses were not graded: {find_failure(groups)}")


def summarize_rollout(groups: Sequence[ScoredGroup], updates: Sequence[StepResult], draws: int) -> dict[str, float]:
    """Average one rollout's numbers over its responses, and over its optimizer steps.

    Args:
        groups: graded; responses whose verifier failed are counted and otherwise left out.
        updates: may be fewer than planned.
        draws: problems that made the groups; ``prompts_too_long`` of them made none.

    Returns:
        The metrics by name; ``length_right`` and ``length_wrong`` only where there are such responses.

    Raises:
        Fault: nothing is graded.
    """
    whole, responses, prompts_too_long = groups, sum(len(group.scores) for group in groups), draws - len(groups)
    groups = [group for group in map(keep_graded, whole) if group.scores]
    if not groups:
        raise Fault(f"every verifier failed on every response of a rollout: {find_failure(whole)}")
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


def measure_staleness(samples: Sequence[GradedSample], version: int) -> dict[str, float]:
    """Measure how old the weights were that wrote a rollout, in updates of the policy.

    Args:
        samples: of the rollout, none that is replayed.
        version: the trainer's, before the first update on them.

    Returns:
        ``staleness_mean`` and ``staleness_max`` over the samples; nothing where none is older than the trainer's
        weights.
    """
    ages = np.array([version - sample.policy_version for sample in samples])
    return {"staleness_mean": float(ages.mean()), "staleness_max": float(ages.max())} if ages.any() else {}
