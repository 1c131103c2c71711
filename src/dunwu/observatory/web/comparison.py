"""The same curves of several runs, and what their last evaluations say, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dunwu.analysis import curves
from dunwu.analysis.labels import describe_checkpoint, describe_quantity
from dunwu.analysis.results import find_base_and_trained
from dunwu.errors import UserError
from dunwu.observatory import figures
from dunwu.observatory.charts import Chart
from dunwu.observatory.rendering import render
from dunwu.observatory.views import NOTHING, Cell, FigureGroup, Table, make_figure_group, make_result_cell
from dunwu.observatory.web.layout import make_layout
from dunwu.observatory.web.pages import describe_reading_of
from dunwu.observatory.web.watched_runs import WatchedRun, WatchedRuns

MEASURES = (curves.ACCURACY, curves.REWARD, curves.REFLECTIONS, curves.LENGTH, *curves.SHOWN.values(), curves.MENDED)
RESULTS = ("pass@1", "length", "reflections")
"""Results of an evaluation that runs are compared by."""
TITLE = "Runs beside each other"
NOTE = (
    "Lines: training problems. On held-out problems, in the colour of the run: dashed, what its base does; a ring, its "
    "base; dots, its checkpoints, the trained model last."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChoice:
    """A run that may be compared: its place, its name, and whether it is."""

    place: int
    name: str
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StageComparison:
    """A stage that several runs have: how far the reading of each is, and the figures."""

    name: str
    reading: Sequence[str]
    figures: FigureGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several runs side by side."""

    title: str
    note: str
    choices: Sequence[RunChoice]
    results: Table | None
    stages: Sequence[StageComparison]


def show_comparison(runs: WatchedRuns, named: Sequence[str]) -> str:
    """Show several runs side by side.

    Args:
        runs: The runs.
        named: The numbers of those that are compared; none for all.

    Returns:
        The page.

    Raises:
        UserError: There is no such run, or a file of one is damaged (named).
    """
    try:
        places = [int(text) for text in named] or list(range(len(runs.runs)))
    except ValueError:
        raise UserError("runs are named by their numbers", field="run") from None
    wanted = {place: runs[place] for place in dict.fromkeys(places)}
    chosen = {place: run for place, run in wanted.items() if run.is_intact()}
    stages = dict.fromkeys(stage for run in chosen.values() for stage in run.read().stages)
    view = Comparison(
        title=TITLE,
        note=NOTE,
        choices=[
            RunChoice(place=place, name=run.name, is_chosen=place in chosen) for place, run in enumerate(runs.runs)
        ],
        results=_tabulate_results(list(chosen.values())),
        stages=[found for stage in stages if (found := _compare_stage(list(chosen.values()), stage)).figures.charts],
    )
    return render("watch/comparison.html", layout=make_layout(runs, None, "/compare", TITLE), view=view)


def _compare_stage(runs: Sequence[WatchedRun], stage: str) -> StageComparison:
    having = [run for run in runs if stage in run.read().stages]
    return StageComparison(
        name=stage,
        reading=[f"{run.name}: {line}" for run in having for line in describe_reading_of(run, stage)],
        figures=make_figure_group(_plot(having, stage)),
    )


def _plot(runs: Sequence[WatchedRun], stage: str) -> Iterator[Chart]:
    found = [(run.name, run.read_stage(stage)) for run in runs]
    for measure in MEASURES:
        series = [one for name, data in found for one in figures.plot_run_series(name, data, measure)]
        yield Chart(title=measure.label.capitalize(), series=series, y_label=measure.unit, share=measure.share)


def _tabulate_results(runs: Sequence[WatchedRun]) -> Table | None:
    """Tabulate what the last evaluations of every run say of base and trained model, or of the last model."""
    rows = dict[str, dict[tuple[str, str], Cell | str]]()
    for run in runs:
        last = run.find_last_evaluations()
        for name, evaluations in (last[1] if last else {}).items():
            for one in find_base_and_trained(evaluations) or evaluations[-1:]:
                for key in RESULTS:
                    if key in one.results:
                        cells = rows.setdefault(f"{name}: {describe_quantity(key).label}", {})
                        cells[run.name, one.checkpoint] = make_result_cell(key, one.results[key])
    if not rows:
        return None
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    return Table(
        caption="On held-out problems, with 95 % intervals",
        header=["", *(f"{name}, {describe_checkpoint(model)}" for name, model in columns)],
        rows=[[head, *(cells.get(column, NOTHING) for column in columns)] for head, cells in rows.items()],
    )
