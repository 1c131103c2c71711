"""Several runs of one recipe as one page: every curve and number with its interval over the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dunwu.analysis.comparison_table import ComparisonTable
from dunwu.analysis.seeds import average_metric
from dunwu.observatory.charts import Chart, Point, Series
from dunwu.observatory.rendering import render
from dunwu.observatory.views import FigureGroup, Table, make_figure_group, make_models_table
from dunwu.runs import RunReader
from dunwu.runs.atomic import atomic_write

FIGURES = (
    # title, metric, unit on the axis, whether it is a share
    ("Right answers, training problems", "accuracy", "share of responses", True),
    ("Length of a response", "length", "tokens", False),
    ("Words of reflection", "reflections", "words a response", False),
    ("How undecided the policy is", "entropy", "nats a token", False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedsReport:
    """What the page of several seeds shows."""

    name: str
    seeds: str
    figures: FigureGroup
    tables: Sequence[Table]


def write_seeds_report(folder: Path, runs: Sequence[RunReader], tables: Sequence[ComparisonTable]) -> Path:
    """Write FOLDER/report.html.

    Args:
        folder: Where to.
        runs: Runs of one recipe.
        tables: What their evaluations say together.

    Returns:
        The path of what was written.

    Raises:
        UserError: A file of a run is damaged (named).
        Fault: The report cannot be written.
    """
    charts = [_plot(runs, title, metric, unit, share=share) for title, metric, unit, share in FIGURES]
    note = f"Lines are means over {len(runs)} runs, bands Student's 95 % intervals of these means."
    report = SeedsReport(
        name=runs[0].recipe["name"],
        seeds=f"{len(runs)} seeds: {', '.join(str(run.seed) for run in runs)}",
        figures=make_figure_group(charts, note=note),
        tables=[make_models_table(table) for table in tables],
    )
    path = folder / "report.html"
    atomic_write(path, render("seeds_report.html", report=report).encode())
    return path


def _plot(runs: Sequence[RunReader], title: str, metric: str, unit: str, *, share: bool) -> Chart:
    series = [
        Series(label=curve.stage, points=[Point(*point) for point in zip(curve.steps, curve.estimates, strict=True)])
        for curve in average_metric(runs, metric)
    ]
    return Chart(title=title, series=series, y_label=unit, share=share)
