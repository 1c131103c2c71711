"""Several runs of one recipe as one: curves and tables with intervals over the runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from dunwu.analysis.comparison_table import ComparisonRow, ComparisonTable, compare_models_over_seeds, describe_interval
from dunwu.analysis.results import find_last_evaluations
from dunwu.metrics import estimate_mean
from dunwu.runs import RunReader
from dunwu.types import Estimate

TRAINING = ("reward", "accuracy", "length", "loss")
"""What training itself says of a stage, as far as its kind has it."""


class SeedCurve(NamedTuple):
    """A metric of a stage over all runs: for each step the mean over the runs, with Student's 95 % interval."""

    stage: str
    steps: Sequence[float]
    estimates: Sequence[Estimate]


def average_metric(runs: Sequence[RunReader], metric: str, *, most: int | None = None) -> list[SeedCurve]:
    """Average a metric over runs, stage by stage.

    Args:
        runs: Runs of one recipe.
        metric: Its name in metrics.jsonl. Only a reward may be below 0.
        most: Points of a curve; None: one a step. Where there are more steps, a point stands at the last of several,
            and is over each run's mean of those.

    Returns:
        A curve for each stage in which every run has the metric, over the steps that all of them have.

    Raises:
        UserError: The metrics of a run are damaged (named).
    """
    curves, lowest = [], -math.inf if metric == "reward" else 0.0
    for stage in runs[0].stages:
        rows = [{row["step"]: row for row in run.stage(stage).read_metrics()} for run in runs]
        steps = [step for step in rows[0] if all(metric in by_step.get(step, {}) for by_step in rows)]
        size = max(1, -(-len(steps) // most)) if most else 1
        groups = [steps[first : first + size] for first in range(0, len(steps), size)]
        estimates = [
            estimate_mean([fmean(by_step[step][metric] for step in group) for by_step in rows], lowest=lowest)
            for group in groups
        ]
        curves.append(SeedCurve(stage, [group[-1] for group in groups], estimates))
    return [curve for curve in curves if curve.steps]


def compare_seeds(runs: Sequence[RunReader]) -> list[ComparisonTable]:
    """Tabulate what the last evaluations of the runs say together; where a run has none, what training says.

    Args:
        runs: Runs of one recipe.

    Returns:
        The tables, with intervals over the runs.

    Raises:
        UserError: A file of a run is damaged (named).
    """
    found = [by_set for _, by_set in filter(None, map(find_last_evaluations, runs))]
    return (compare_models_over_seeds(found) if len(found) == len(runs) else []) or _compare_training(runs)


def _compare_training(runs: Sequence[RunReader]) -> list[ComparisonTable]:
    """Tabulate the first and the last update of each stage that has metrics."""
    curves = {metric: average_metric(runs, metric) for metric in TRAINING}
    tables, note = [], describe_interval(f"over {len(runs)} seeds")
    for stage in runs[0].stages:
        rows = []
        for metric, found in curves.items():
            points = [
                point
                for curve in found
                if curve.stage == stage
                for point in zip(curve.steps, curve.estimates, strict=True)
            ]
            values = {f"update {step:,.0f}": estimate for step, estimate in (*points[:1], *points[-1:])}
            rows += [ComparisonRow(benchmark="", quantity=metric, values=values)] if values else []
        if rows:
            title = f"{stage} in training; nothing was evaluated in every run"
            tables.append(ComparisonTable(title=title, note=note, rows=rows))
    return tables
