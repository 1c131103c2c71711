"""Several runs of one recipe as one story: every curve and number with its interval over the runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from dunwu.analysis import comparison_table
from dunwu.analysis.results import find_last_evaluations
from dunwu.metrics import mean
from dunwu.observatory.charts import Chart, Point, Series
from dunwu.observatory.report import page
from dunwu.observatory.report.sections import models_table
from dunwu.runs import RunReader
from dunwu.runs.atomic import atomic_write

FIGURES = (
    # title, metric, unit on the axis, whether it is a share
    ("Right answers, training problems", "accuracy", "share of responses", True),
    ("Length of a response", "length", "tokens", False),
    ("Words of reflection", "reflections", "words a response", False),
    ("How undecided the policy is", "entropy", "nats a token", False),
)


TRAINING = ("reward", "accuracy", "length", "loss")
"""What training itself says of a stage, as far as its kind has it."""


def joined_tables(runs: Sequence[RunReader]) -> list[comparison_table.ComparisonTable]:
    """What the last evaluations of the runs say together; where a run has none, what training says."""
    found = [by_set for _, by_set in filter(None, map(find_last_evaluations, runs))]
    return (comparison_table.compare_models_over_seeds(found) if len(found) == len(runs) else []) or _training_tables(
        runs
    )


def _training_tables(runs: Sequence[RunReader]) -> list[comparison_table.ComparisonTable]:
    """A table of each stage that has metrics: its first and its last update."""
    tables, note = [], comparison_table.describe_interval(f"over {len(runs)} seeds")
    for stage in runs[0].stages:
        rows = []
        for metric in TRAINING:
            points = [point for series in curves(runs, metric) if series.label == stage for point in series.points]
            values = {f"update {point.x:,.0f}": point.estimate for point in (*points[:1], *points[-1:])}
            rows += [comparison_table.ComparisonRow(benchmark="", quantity=metric, values=values)] if values else []
        if rows:
            title = f"{stage} in training; nothing was evaluated in every run"
            tables.append(comparison_table.ComparisonTable(title=title, note=note, rows=rows))
    return tables


def curves(runs: Sequence[RunReader], metric: str) -> list[Series]:
    """Of every stage that has the metric a curve: mean and interval over the runs, update by update. Of these metrics
    a reward alone may be below 0."""
    series, lowest = [], -math.inf if metric == "reward" else 0.0
    for stage in runs[0].stages:
        rows = [{row["step"]: row for row in run.stage(stage).read_metrics()} for run in runs]
        steps = [step for step in rows[0] if all(metric in of_run.get(step, {}) for of_run in rows)]
        points = [Point(step, mean([of_run[step][metric] for of_run in rows], lowest=lowest)) for step in steps]
        series.append(Series(label=stage, points=points))
    return [one for one in series if one.points]


def write_seeds_report(
    folder: Path, runs: Sequence[RunReader], tables: Sequence[comparison_table.ComparisonTable]
) -> Path:
    """Writes FOLDER/report.html, with these tables of the runs; its path.

    Raises:
        UserError: a file of a run is damaged (named).
        Fault: the report cannot be written.
    """
    name = runs[0].recipe["name"]
    told = f"{len(runs)} seeds: {', '.join(str(run.seed) for run in runs)}"
    figures = [
        Chart(title=title, series=curves(runs, metric), y_label=unit, share=share).html()
        for title, metric, unit, share in FIGURES
    ]
    parts = [
        f"<h1>{page.text(name)} · {page.text(told)}</h1>",
        page.grid(figures, f"Lines are means over {len(runs)} runs, bands Student's 95 % intervals of these means."),
    ]
    parts += [models_table(table) for table in tables]
    path = folder / "report.html"
    atomic_write(path, page.page(f"{name} · Dunwu", parts).encode())
    return path
