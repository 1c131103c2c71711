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
)
from dunwu.runs import RunReader
from dunwu.types import Estimate


def write_headline(run: RunReader, found: LastEvaluations | None = None) -> str:
    """Say what happened, in one sentence that claims no change that the 95 % intervals do not show.

    Args:
        run: the run.
        found: its last evaluations, where they have been read.

    Returns:
        The sentence.
    """
    found = found or find_last_evaluations(run)
    if found is None:
        gone = any(find_missing_evaluations(run, stage) for stage in run.stages)
        if gone or any(map(_evaluates, run.recipe["stages"].values())):
            return f"No held-out evaluation {'is left' if gone else 'yet'}, so there is nothing to claim."
        learnt = [name for name, stage in run.recipe["stages"].items() if stage["kind"] == "rl"]
        adds = f"stages.{learnt[-1]}.evaluation.sets adds one" if learnt else "a stage of the kind eval adds one"
        return f"The recipe has no held-out evaluation, so there is nothing to claim: {adds}."
    gone = find_missing_evaluations(run, found[0]) is not None
    return _sentence(run, *found) + (" Other evaluations of it are gone from its folder." if gone else "")


def _evaluates(stage: Mapping[str, Any]) -> bool:
    return bool(stage.get("sets") or stage.get("evaluation", {}).get("sets"))


def _sentence(run: RunReader, stage: str, by_set: EvaluationsBySet) -> str:
    if is_model_comparison(run, stage):
        return _beside(run, by_set)
    name, evaluations = next(iter(by_set.items()))
    measure = comparison_table.choose_first_measure(run.recipe["stages"].get(stage, {}), evaluations[-1].results)
    what = "Right answers" if measure == "pass@1" else describe_quantity(measure or "").label.capitalize()
    ends = find_base_and_trained(evaluations)
    if measure is None or ends is None or any(measure not in end.results for end in ends):
        only = evaluations[-1]
        told = _value(measure, only.results[measure]) if measure else "measured"
        named = "" if measure in (None, "pass@1") else f"{what.lower()} "
        whose = describe_checkpoint(only.checkpoint).capitalize()
        right = " right" if measure == "pass@1" else ""
        return f"{whose} on {only.problems:,} held-out problems ({name}): {named}{told}{right}."
    problems = ends[0].problems
    before, after = (end.results[measure] for end in ends)
    told = " to ".join(_value(measure, end) for end in (before, after))
    if before.low <= after.high and after.low <= before.high:
        return f"{what} went from {told} on {problems:,} held-out problems: no change that the intervals can tell."
    verb = "grew" if after.value > before.value else "fell"
    return f"{what} {verb} from {told} on {problems:,} problems that training never drew."


def _value(measure: str, estimate: Estimate) -> str:
    return f"{format_number(measure, estimate.value, estimate)} ({format_interval(measure, estimate)})"


def _beside(run: RunReader, by_set: EvaluationsBySet) -> str:
    """Of a pipeline from the first model to the last, what each benchmark measures above all; of an evaluation every
    model."""
    if all(stage.get("kind") == "eval" for stage in run.recipe["stages"].values()):
        told = [
            f"{row.benchmark}: "
            + ", ".join(f"{name} {format_number('pass@1', v.value, v)}" for name, v in row.values.items())
            for row in comparison_table.build_rows(by_set)
            if row.quantity == "pass@1"
        ]
        return f"Right answers, {'; '.join(told)}." if told else "Models beside each other."
    told, ends = list[str](), ("", "")
    for row in comparison_table.build_rows(by_set):
        if row.quantity == "pass@1" and len(row.values) > 1:
            (first, before), *_, (last, after) = row.values.items()
            ends = (first, last)
            values = " to ".join(format_number("pass@1", value.value, value) for value in (before, after))
            told.append(f"{row.benchmark} {values}")
    if not told:
        return "Models beside each other."
    return f"Right answers from {ends[0]} to {ends[1]}: {', '.join(told)}."
