"""Several seeds of a recipe, or of variants of it, as one page: curves and numbers with their intervals over runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dunwu.analysis.comparison_table import ComparisonTable
from dunwu.analysis.seeds import average_metric
from dunwu.analysis.variants import Variant
from dunwu.observatory.charts import Chart, Point, Series
from dunwu.observatory.rendering import render
from dunwu.observatory.report.figure_files import check_fonts, write_chart
from dunwu.observatory.views import FigureGroup, Table, make_figure_group, make_models_table
from dunwu.runs import RunReader
from dunwu.runs.atomic import atomic_write, make_directory

FIGURES = (
    # title, metric, unit on the axis, whether it is a share
    ("Right answers, training problems", "accuracy", "share of responses", True),
    ("Length of a response", "length", "tokens", False),
    ("Words of reflection", "reflections", "words a response", False),
    ("How undecided the policy is", "entropy", "nats a token", False),
)
MOST_POINTS = 24
"""Of a curve; one rollout of few problems says little by itself."""


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
    seeds = f"{len(runs)} seeds: {', '.join(str(run.seed) for run in runs)}"
    return _write_page(folder, runs[0].recipe["name"], seeds, plot_variants([Variant("", runs)]), tables)


def write_variants_report(folder: Path, variants: Sequence[Variant], tables: Sequence[ComparisonTable]) -> list[Path]:
    """Write FOLDER/report.html, and then its figures as SVG and PNG.

    Args:
        folder: Where to.
        variants: What is compared.
        tables: What they reach and cost.

    Returns:
        The paths of what was written, the page first.

    Raises:
        UserError: A file of a run is damaged (named).
        Fault: A file cannot be written, or this machine has no font to write labels with; the page is there then.
    """
    make_directory(folder)
    charts, seeds = plot_variants(variants), ", ".join(str(len(variant.runs)) for variant in variants)
    names = ", ".join(variant.name for variant in variants)
    page = _write_page(folder, names, f"{seeds} seeds", charts, tables)
    check_fonts()
    return [page, *(path for chart in charts for path in write_chart(folder, chart))]


def plot_variants(variants: Sequence[Variant]) -> list[Chart]:
    """Plot each metric, a curve for each variant and stage, with its interval over seeds."""
    return [_plot(variants, title, metric, unit, share=share) for title, metric, unit, share in FIGURES]


def _write_page(
    folder: Path, name: str, seeds: str, charts: Sequence[Chart], tables: Sequence[ComparisonTable]
) -> Path:
    note = (
        "Lines are means over runs, bands Student's 95 % intervals of these means. "
        f"Where a run has more than {MOST_POINTS} rollouts, a point is its mean over several."
    )
    report = SeedsReport(
        name=name,
        seeds=seeds,
        figures=make_figure_group(charts, note=note),
        tables=[make_models_table(table) for table in tables],
    )
    path = folder / "report.html"
    atomic_write(path, render("seeds_report.html", report=report).encode())
    return path


def _plot(variants: Sequence[Variant], title: str, metric: str, unit: str, *, share: bool) -> Chart:
    series = [
        Series(
            label=_label(variant, curve.stage),
            points=[Point(*point) for point in zip(curve.steps, curve.estimates, strict=True)],
        )
        for variant in variants
        for curve in average_metric(variant.runs, metric, most=MOST_POINTS)
    ]
    return Chart(title=title, series=series, y_label=unit, share=share)


def _label(variant: Variant, stage: str) -> str:
    """Name a curve by its variant, by its stage, or by both where both have several."""
    several = len(variant.runs[0].stages) > 1
    return f"{variant.name}: {stage}" if variant.name and several else variant.name or stage
