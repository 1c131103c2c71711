"""What a notebook shows of a run: a sentence, its curves, its results. One block of HTML without scripts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from dunwu.analysis.comparison_table import compare_models
from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.headline import write_headline
from dunwu.analysis.results import find_last_evaluations, is_model_comparison
from dunwu.analysis.run_status import describe_progress
from dunwu.analysis.stage_data import StageData
from dunwu.observatory.charts import Chart
from dunwu.observatory.figures import plot_overview
from dunwu.observatory.rendering import render
from dunwu.observatory.views import Table, make_evaluation_table, make_models_table
from dunwu.runs import RunReader


def render_run(run: RunReader) -> str:
    """Show a run, finished or not, as HTML.

    Args:
        run: The run. What is damaged is left out, and said.

    Returns:
        One block of HTML without scripts.
    """
    damage: list[str] = []
    nothing: list[Table] = []
    stage = next((name for name in reversed(run.stages) if run.stage(name).list_rollout_steps()), None)
    charts = read_or_default(lambda: plot_overview(StageData.read(run, stage)) if stage else [], [], damage)
    return render(
        "notebook_run.html",
        name=run.recipe["name"],
        progress=describe_progress(run),
        headline=read_or_default(lambda: write_headline(run), "", damage),
        figures=[(chart.description, encode_figure(chart)) for chart in charts],
        tables=read_or_default(lambda: make_tables(run), nothing, damage),
        damage=damage,
    )


def make_tables(run: RunReader) -> list[Table]:
    """Return the results of the run's last stage that measured any: models side by side, or one table a set."""
    found = find_last_evaluations(run)
    if found is None:
        return []
    stage, by_set = found
    if is_model_comparison(run, stage):
        return [make_models_table(compare_models(by_set))]
    return [make_evaluation_table(name, evaluations) for name, evaluations in by_set.items()]


def encode_figure(chart: Chart) -> str:
    """Return a figure as the address of an image, so that its colours stay its own."""
    return "data:image/svg+xml;base64," + b64encode(chart.to_svg().encode()).decode("ascii")


def render_facts(facts: Sequence[tuple[str, str]]) -> str:
    """Show names and values as HTML."""
    return render("notebook_facts.html", facts=facts)
