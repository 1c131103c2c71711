"""The pages of ``dunwu watch``, made of the same records as the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from dunwu.analysis import comparison_table, costs
from dunwu.analysis.aha_sentences import describe_reading, describe_search
from dunwu.analysis.headline import write_headline
from dunwu.analysis.results import is_model_comparison
from dunwu.analysis.run_status import describe_progress, list_run_facts
from dunwu.analysis.stage_data import StageData
from dunwu.analysis.stage_graph import read_stage_nodes
from dunwu.analysis.stage_roles import learns_from_rewards
from dunwu.errors import UserError
from dunwu.observatory import figures
from dunwu.observatory.aha_view import AhaView, make_aha_view
from dunwu.observatory.diagnosis_view import HealthView, make_health_views
from dunwu.observatory.rendering import render
from dunwu.observatory.stage_graph import StageGraph, lay_out_stages
from dunwu.observatory.views import (
    AnswerBox,
    FigureGroup,
    Question,
    Table,
    make_answer_box,
    make_cost_table,
    make_evaluation_table,
    make_figure_group,
    make_level_groups,
    make_models_table,
    make_question,
)
from dunwu.observatory.web.layout import Link, make_layout
from dunwu.observatory.web.problem_history import offer_problems, read_history
from dunwu.observatory.web.rollout_filter import RolloutFilter
from dunwu.observatory.web.rollout_views import RolloutList, make_rollout_list, make_rollout_view
from dunwu.observatory.web.run_list import make_run_list
from dunwu.observatory.web.watched_runs import WatchedRun, WatchedRuns
from dunwu.runs import Evaluation, RunReader, StageReader


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstCurves:
    """The figures that say most of the newest stage that has any."""

    stage: str
    reading: Sequence[str]
    figures: FigureGroup
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Whether a stage has a candidate for an aha moment, in a sentence."""

    stage: str
    href: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Where a run stands: its state, its curves, its stages and moments, what it has reached and cost."""

    title: str
    headline: str
    facts: Sequence[tuple[str, str]]
    curves: FirstCurves | None
    stages: StageGraph
    health: Sequence[HealthView]
    moments: Sequence[Moment]
    models: Table | None
    evaluations: Sequence[Table]
    costs: Table | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHead:
    """What stands above a page of a stage: the stage, links to the others, and how far the reading is."""

    stage: str
    others: Sequence[Link]
    reading: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A stage's curves, as far as it has come."""

    damage: Sequence[str]
    aha: AhaView | None
    charts: FigureGroup
    levels: Sequence[FigureGroup]
    further_metrics: FigureGroup
    evaluations: Sequence[Table]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One problem through training; ``side_by_side``: of models, not one after the other."""

    question: Question
    answers: Sequence[AnswerBox]
    side_by_side: bool
    others: Sequence[Link]


def show_run_list(runs: WatchedRuns, order: str) -> str:
    """Show the runs that are watched; ``order``: see ``run_list.make_run_list``."""
    layout = make_layout(runs, None, "", "Runs")
    return render("watch/run_list.html", layout=layout, runs=make_run_list(runs, order))


def show_error(text: str) -> str:
    """Show what went wrong, in one line."""
    return render("watch/error.html", text=text)


def show_overview(runs: WatchedRuns, place: int) -> str:
    """Show where a run stands.

    Args:
        runs: The runs.
        place: Which of them.

    Returns:
        The page.

    Raises:
        UserError: There is no such run, or a file of it is damaged (named).
    """
    watched = runs[place]
    run = watched.read()
    address = f"/runs/{place}/curves?stage="
    last = watched.find_last_evaluations()
    compares = last is not None and is_model_comparison(run, last[0])
    lines = list(costs.read_costs(run))
    learning = [name for name in run.stages if learns_from_rewards(run.recipe["stages"][name])]
    view = Overview(
        title=f"{run.recipe['name']} · seed {run.seed}",
        headline=write_headline(run, last),
        facts=[("state", f"{describe_progress(run)}."), *list_run_facts(run)],
        curves=_find_first_curves(watched, run, address),
        stages=lay_out_stages(read_stage_nodes(run), address),
        health=make_health_views([watched.read_stage(name) for name in learning]),
        moments=_list_moments(watched, run, address),
        models=make_models_table(comparison_table.compare_models(last[1])) if last and compares else None,
        evaluations=_tabulate_evaluations(last[1]) if last and not compares else (),
        costs=make_cost_table(lines) if lines else None,
    )
    return render("watch/overview.html", layout=make_layout(runs, place, "", run.recipe["name"]), view=view)


def _find_first_curves(watched: WatchedRun, run: RunReader, address: str) -> FirstCurves | None:
    for stage in reversed(run.stages):
        found = make_figure_group(figures.plot_overview(watched.read_stage(stage)))
        if found.charts:
            reading = describe_reading_of(watched, stage)
            return FirstCurves(stage=stage, reading=reading, figures=found, href=address + quote(stage))
    return None


def _list_moments(watched: WatchedRun, run: RunReader, address: str) -> list[Moment]:
    """Write a sentence for each stage that writes; nothing is concluded before its rollouts have been read."""
    stages = [watched.read_stage(stage) for stage in run.stages if watched.open_index(stage).progress.stored]
    return [Moment(stage=data.name, href=address + quote(data.name), sentence=_conclude(data)) for data in stages]


def _conclude(data: StageData) -> str:
    return describe_reading(*data.reading) if data.reading else describe_search(data.moment_search)


def _tabulate_evaluations(by_set: Mapping[str, Sequence[Evaluation]]) -> list[Table]:
    return [make_evaluation_table(name, evaluations) for name, evaluations in by_set.items()]


def show_curves(runs: WatchedRuns, place: int, stage: str) -> str:
    """Show a stage's curves, as far as it has come.

    Args:
        runs: The runs.
        place: Which of them.
        stage: The stage; "" for the last one that has curves.

    Returns:
        The page.

    Raises:
        UserError: There is no such run or stage, or a file of it is damaged (named).
    """
    watched = runs[place]
    stage = _choose_stage(watched, "/curves", stage)
    data = watched.read_stage(stage)
    chosen, others = figures.plot_metrics(data)
    view = Curves(
        aha=make_aha_view(data) if data.rollouts else None,
        charts=make_figure_group([*figures.plot_learning(data), *chosen]),
        levels=make_level_groups(data),
        further_metrics=make_figure_group(others, title="Further measurements"),
        evaluations=_tabulate_evaluations(data.by_set),
        damage=tuple(data.damage),  # after all that may add to it
    )
    layout = make_layout(runs, place, "/curves", f"Curves of {stage}")
    return render("watch/curves.html", layout=layout, head=_make_head(watched, place, "/curves", stage), view=view)


def show_rollouts(runs: WatchedRuns, place: int, stage: str, chosen: RolloutFilter, start: int) -> str:
    """Show the browser of a stage's rollouts.

    Args:
        runs: The runs.
        place: Which of them.
        stage: The stage; "" for the last one that has rollouts.
        chosen: The filter.
        start: Where the page begins in what the filter lets through.

    Returns:
        The page.

    Raises:
        UserError: There is no such run or stage.
    """
    watched = runs[place]
    stage = _choose_stage(watched, "/rollouts", stage)
    found: RolloutList | None = None
    if watched.open_index(stage).progress.stored:
        found = make_rollout_list(watched, f"/runs/{place}/rollouts", stage, chosen, start)
    return render(
        "watch/rollouts.html",
        layout=make_layout(runs, place, "/rollouts", f"Rollouts of {stage}"),
        head=_make_head(watched, place, "/rollouts", stage),
        view=found,
        history_href=f"/runs/{place}/paths?stage={quote(stage)}",
    )


def show_rollout(runs: WatchedRuns, place: int, stage: str, step: int, row: int) -> str:
    """Show one rollout: the question, the highlighted answer, its score, and its siblings.

    Args:
        runs: The runs.
        place: Which of them.
        stage: The stage.
        step: The rollout.
        row: The completion's row in it.

    Returns:
        The page.

    Raises:
        UserError: There is no such run, stage, rollout or row.
    """
    view = make_rollout_view(runs[place], f"/runs/{place}", stage, step, row)
    layout = make_layout(runs, place, "/rollouts", f"Rollout {step}/{row} of {stage}")
    return render("watch/rollout.html", layout=layout, view=view)


def show_history(runs: WatchedRuns, place: int, stage: str, problem: str) -> str:
    """Show one problem through training, its answers side by side.

    Args:
        runs: The runs.
        place: Which of them.
        stage: The stage; "" for the last one that has answers.
        problem: The problem's number; "" for the first that is offered.

    Returns:
        The page.

    Raises:
        UserError: There is no such run or stage, or no answer to the problem.
    """
    watched = runs[place]
    stage = _choose_stage(watched, "/paths", stage)
    data, index = watched.read_stage(stage), watched.open_index(stage)
    offers = offer_problems(data, index)
    try:
        chosen = int(problem) if problem else offers[0].problem if offers else None
    except ValueError:
        raise UserError(f"{problem!r:.40} is no problem's number", field="problem") from None
    view: History | None = None
    if chosen is not None:
        answers = read_history(data, index, chosen)
        base = f"/runs/{place}/paths?" + urlencode({"stage": stage})
        view = History(
            question=make_question(answers[0].prompt),
            answers=[
                make_answer_box(one.label, one.text, right=one.right, note=f"{one.tokens:,} tokens") for one in answers
            ],
            side_by_side=is_model_comparison(watched.read(), stage),
            others=[
                Link(href=f"{base}&problem={one.problem}", label=one.label, is_current=one.problem == chosen)
                for one in offers
            ],
        )
    layout = make_layout(runs, place, "/paths", f"Paths through {stage}")
    return render("watch/history.html", layout=layout, head=_make_head(watched, place, "/paths", stage), view=view)


def _choose_stage(watched: WatchedRun, tab: str, stage: str) -> str:
    """Choose the stage that is asked for, otherwise the last one that has something to show on this page."""
    if stage:
        watched.open_index(stage)
        return stage
    run = watched.read()
    if not run.stages:
        raise UserError("has not begun its first stage", file=watched.directory)
    offered = _offer_stages(run, tab)
    writing = [name for name in offered if run.stage(name).list_rollout_steps()]
    return (writing or offered or list(run.stages))[-1]


def _offer_stages(run: RunReader, tab: str) -> list[str]:
    """List the stages that have something to show on a page."""
    wanted: Mapping[str, Callable[[StageReader], object]] = {
        "/curves": lambda stage: stage.read_metrics() or stage.list_rollout_steps(),
        "/rollouts": lambda stage: stage.list_rollout_steps(),
        "/paths": lambda stage: stage.list_rollout_steps() or stage.evaluations_token,
    }
    return [name for name in run.stages if wanted[tab](run.stage(name))]


def _make_head(watched: WatchedRun, place: int, tab: str, stage: str) -> StageHead:
    """Link to the same page of the other stages, and say how far the reading is."""
    names = _offer_stages(watched.read(), tab)
    links = [
        Link(href=f"/runs/{place}{tab}?stage={quote(name)}", label=name, is_current=name == stage) for name in names
    ]
    return StageHead(stage=stage, others=links if len(links) > 1 else (), reading=describe_reading_of(watched, stage))


def describe_reading_of(watched: WatchedRun, stage: str) -> list[str]:
    """Say how far the reading of a stage is, while it is not done, and what could not be read."""
    found = watched.open_index(stage).progress
    lines = [f"{file} (tried again when it changes)" for file in found.damaged]
    if found.read + len(found.damaged) < found.stored:
        lines.insert(0, f"Reading {found.read:,} of {found.stored:,} rollouts; what is made of them is not whole yet.")
    return lines
