"""How long a run still takes: the rollouts of its stage, its evaluations, and the stages after it.

Terminal, watch and report all ask here, of what the run has written, so that they say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from dunwu.analysis.labels import format_duration
from dunwu.analysis.stage_roles import learns_from_rewards
from dunwu.config.schema import RLStage
from dunwu.runs import RunReader, StageReader, is_due

RECENT, SHARE = 5, 0.1
"""Rows whose mean duration the time left is computed from: so many, or this share of them where they are more."""


class TimeLeft(NamedTuple):
    """Seconds that the whole run still takes; ``at_least`` where nothing is known of a stage to come."""

    seconds: float
    at_least: bool

    def __str__(self) -> str:
        """``12 min``, or ``>12 min``."""
        return f"{'>' if self.at_least else ''}{format_duration(self.seconds)}"


def estimate_time_left(run: RunReader, name: str) -> TimeLeft | None:
    """Estimate what a run still takes, by the pace of its stage and the plans of later ones.

    Args:
        run: The run.
        name: The stage that it is at.

    Returns:
        The time as of the stage's last row; None before its first one, and where it does not go by steps.

    Raises:
        UserError: A file of the stage is damaged (named).
    """
    stage, steps = run.stage(name), run.count_steps(name)
    metrics, pace = stage.read_metrics(), compute_seconds_per_step(stage.read_timings())
    if not metrics or not steps or pace is None:
        return None
    done = int(metrics[-1]["step"])
    answer = _estimate_seconds_per_answer(stage, metrics, pace)
    own = max(steps - done, 0) * pace + _count_answers(run.recipe["stages"][name], done) * answer
    whole = steps * pace + _count_answers(run.recipe["stages"][name], None) * answer
    planned, names = run.planned_seconds, list(run.recipe["stages"])
    later = [planned.get(other) for other in names[names.index(name) + 1 :]]
    against_plan = whole / plan if (plan := planned.get(name)) else None
    at_least = bool(later) and (None in later or against_plan is None)
    return TimeLeft(own + sum(filter(None, later)) * (against_plan or 0.0), at_least)


def compute_seconds_per_step(timings: Sequence[dict[str, float]]) -> float | None:
    """Average what a step has taken of late; None where nothing has been timed."""
    recent = max(RECENT, int(SHARE * len(timings)))
    shown, before = timings[-recent:], timings[-recent - 1 : -recent]
    seconds = sum(sum_row_seconds(row) for row in shown)
    if not seconds:
        return None
    first = before[0]["step"] if before else 0
    return seconds / max(shown[-1]["step"] - first, 1)


def sum_row_seconds(timings: dict[str, float]) -> float:
    """Add up what a row took."""
    return sum(seconds for name, seconds in timings.items() if name != "step")


def _estimate_seconds_per_answer(stage: StageReader, metrics: Sequence[dict[str, float]], pace: float) -> float:
    """Estimate what an answer of an evaluation to come takes.

    It is computed from the tokens of answers now and the pace of the largest evaluation so far, as small ones leave the
    engine half empty; before the first one, from what a rollout's answers take. What has been evaluated since the last
    row is left out: the terminal did not know of it.
    """
    last, costs = metrics[-1], stage.read_cost_lines()
    known = max((place for place, (step, _) in enumerate(costs) if step == last["step"]), default=len(costs))
    evaluations = [cost["evaluation"] for _, cost in costs[: known + 1] if "evaluation" in cost]
    largest = max(evaluations, key=lambda cost: cost.tokens, default=None)
    if largest is not None and largest.tokens:
        return largest.seconds / largest.tokens * last.get("length", 1.0)
    made = last["step"] - (metrics[-2]["step"] if len(metrics) > 1 else 0)
    responses = last.get("responses", 0.0)
    return pace * made / responses if responses else 0.0


def _count_answers(spec: dict[str, Any], step: int | None) -> int:
    """Count the answers that a stage's evaluations still take once a rollout has ended at ``step``.

    Where ``step`` is None these are all, the base's included. Of a recipe that this version does not read, none count.
    """
    try:
        stage = RLStage.model_validate(spec) if learns_from_rewards(spec) else None
    except ValidationError:
        stage = None
    if stage is None or not stage.evaluation.sets:
        return 0
    evaluation, stride = stage.evaluation, stage.updates_per_rollout
    starts = range(max(step or 0, stride), stage.steps, stride) if evaluation.every else ()
    times = sum(is_due(start, evaluation.every, stride) for start in starts)
    on_the_way = min(evaluation.during_problems, evaluation.sets[0].problems) * evaluation.during_samples
    whole = sum(chosen.problems * chosen.samples for chosen in evaluation.sets)
    return times * on_the_way + whole * (2 if step is None else 1)
