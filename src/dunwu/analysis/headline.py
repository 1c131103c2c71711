"""What came out of a run, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dunwu.analysis import comparison_table
from dunwu.analysis.labels import describe_checkpoint, describe_quantity, format_interval, format_number
from dunwu.analysis.missing_files import find_missing_evaluations
from dunwu.analysis.results import (
    EvaluationsBySet,
    LastEvaluations,
    find_base_and_trained,
    find_last_evaluations,
    is_model_comparison,
    reads_text,
)
from dunwu.analysis.stage_roles import compares_models, learns_from_rewards
from dunwu.runs import RunReader
from dunwu.types import Estimate

NO_RIGHT_ANSWERS = "Models beside each other."
"""What is said of models that were not measured by right answers."""


def write_headline(run: RunReader, found: LastEvaluations | None = None) -> str:
    """Say what happened, in one sentence that claims no change that the 95 % intervals do not show.

    Args:
        run: The run.
        found: Its last evaluations, where they have been read.

    Returns:
        The sentence.
    """
    found = found or find_last_evaluations(run)
    if found is None:
        gone = any(find_missing_evaluations(run, stage) for stage in run.stages)
        if gone or any(map(_measures, run.recipe["stages"].values())):
            return f"No held-out evaluation {'is left' if gone else 'yet'}, so there is nothing to claim."
        learnt = [name for name, stage in run.recipe["stages"].items() if learns_from_rewards(stage)]
        adds = f"stages.{learnt[-1]}.evaluation.sets adds one" if learnt else "a stage of the kind eval adds one"
        return f"The recipe has no held-out evaluation, so there is nothing to claim: {adds}."
    gone = find_missing_evaluations(run, found[0]) is not None
    return _describe(run, *found) + (" Other evaluations of it are gone from its folder." if gone else "")


def _measures(stage: Mapping[str, Any]) -> bool:
    measured = stage.get("evaluation", {})
    return bool(stage.get("sets") or measured.get("sets") or measured.get("texts"))


def _describe(run: RunReader, stage: str, by_set: EvaluationsBySet) -> str:
    if is_model_comparison(run, stage):
        return _describe_models(run, by_set)
    name, evaluations = next(iter(by_set.items()))
    measure = comparison_table.choose_first_measure(run.recipe["stages"].get(stage, {}), evaluations[-1].results)
    what = "Right answers" if measure == "pass@1" else describe_quantity(measure or "").label.capitalize()
    ends = find_base_and_trained(evaluations)
    if measure is None or ends is None or any(measure not in end.results for end in ends):
        only = evaluations[-1]
        value = _format(measure, only.results[measure]) if measure else "measured"
        named = "" if measure in (None, "pass@1") else f"{what.lower()} "
        whose = describe_checkpoint(only.checkpoint).capitalize()
        right = " right" if measure == "pass@1" else ""
        where = name if reads_text(only) else f"{only.problems:,} held-out problems ({name})"
        return f"{whose} on {where}: {named}{value}{right}."
    text = reads_text(ends[0])
    problems = f"the text {name}" if text else f"{ends[0].problems:,} held-out problems"
    before, after = (end.results[measure] for end in ends)
    values = " to ".join(_format(measure, end) for end in (before, after))
    if before.low <= after.high and after.low <= before.high:
        return f"{what} went from {values} on {problems}: no change that the intervals can tell."
    verb = "grew" if after.value > before.value else "fell"
    unseen = problems if text else f"{ends[0].problems:,} problems that training never drew"
    return f"{what} {verb} from {values} on {unseen}."


def _format(measure: str, estimate: Estimate) -> str:
    return f"{format_number(measure, estimate.value, estimate)} ({format_interval(measure, estimate)})"


def _describe_models(run: RunReader, by_set: EvaluationsBySet) -> str:
    """Say what each benchmark measures above all: of a pipeline its first and last model, of an evaluation all."""
    rows = [row for row in comparison_table.build_rows(by_set) if row.quantity == "pass@1"]
    if all(map(compares_models, run.recipe["stages"].values())):
        benchmarks = [
            f"{row.benchmark}: " + ", ".join(f"{name} {_format_right(value)}" for name, value in row.values.items())
            for row in rows
        ]
        return f"Right answers, {'; '.join(benchmarks)}." if benchmarks else NO_RIGHT_ANSWERS
    changes, models = list[str](), ("", "")
    for row in rows:
        if len(row.values) > 1:
            (first, before), *_, (last, after) = row.values.items()
            models = (first, last)
            changes.append(f"{row.benchmark} {_format_right(before)} to {_format_right(after)}")
    if not changes:
        return NO_RIGHT_ANSWERS
    return f"Right answers from {models[0]} to {models[1]}: {', '.join(changes)}."


def _format_right(estimate: Estimate) -> str:
    return format_number("pass@1", estimate.value, estimate)
