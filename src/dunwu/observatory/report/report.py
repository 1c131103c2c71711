"""A run as one self-contained HTML file, made from its directory alone, at any moment of the run."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from dunwu.analysis import comparison_table, costs
from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.headline import write_headline
from dunwu.analysis.labels import describe_quantity, format_interval, format_number
from dunwu.analysis.next_steps import Advice, suggest_next_steps
from dunwu.analysis.paper_costs import describe_paper_costs
from dunwu.analysis.results import (
    LastEvaluations,
    find_base_and_trained,
    find_last_evaluations,
    is_model_comparison,
    read_evaluations_by_set,
)
from dunwu.analysis.run_description import describe_run
from dunwu.analysis.run_status import describe_progress, list_run_facts
from dunwu.analysis.stage_data import StageData
from dunwu.observatory.rendering import render
from dunwu.observatory.report.stage_section import StageSection, make_stage_section
from dunwu.observatory.views import Table, make_cost_table, make_models_table
from dunwu.runs import Evaluation, RunReader
from dunwu.runs.atomic import atomic_write

COST_NOTE = (
    "All processes of the run together, work that a stop or a kill undid among it. Rewards are graded while the "
    "policy still writes: only what was waited for counts."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A result from the base to the trained model: what it is, its values, and their intervals."""

    label: str
    values: str
    intervals: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """What makes the run again: a command, versions, the recipe as it was given and as it ran."""

    command: str
    versions: Mapping[str, str]
    recipe: str
    validated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the report of a run shows; what is empty has nothing to show, or its files are damaged.

    Attributes:
        name: The recipe's.
        seed: The run's.
        headline: What came out, in a sentence.
        lead: What is trained, on what, and why it matters.
        facts: What there is to know at a glance, each with its name.
        tiles: Results from the base to the trained model.
        models: The models side by side, where the run compares such.
        stages: Its stages.
        damage: What cannot be read of the run itself.
        costs: What the modules cost.
        cost_note: How the costs are read.
        reproduction: What makes the run again.
        next_steps: What can be done with it.
    """

    name: str
    seed: int
    headline: str
    lead: str
    facts: Sequence[tuple[str, str]]
    tiles: Sequence[Tile]
    models: Table | None
    stages: Sequence[StageSection]
    damage: Sequence[str]
    costs: Table | None
    cost_note: str
    reproduction: Reproduction | None
    next_steps: Sequence[Advice]


def write_report(run_dir: Path, out: Path | None = None) -> Path:
    """Write a report of whatever the run has stored so far. Damaged files are named in it, and on stderr.

    Args:
        run_dir: The run.
        out: The file; DIR/report.html where it is None.

    Returns:
        The path of what was written.

    Raises:
        UserError: The folder holds no run, or what says which stages it has is damaged (named).
        Fault: The report cannot be written.
    """
    report = make_report(RunReader(run_dir))
    path = out or run_dir / "report.html"
    atomic_write(path, render("report.html", report=report).encode())
    lines = [line for stage in report.stages for line in (*stage.unreadable, *stage.damage)]
    for line in dict.fromkeys([*report.damage, *lines]):
        logger.warning("%s", line)
    return path


def make_report(run: RunReader) -> Report:
    """Lay out a run; what is damaged is named, and costs no other part.

    Args:
        run: The run.

    Returns:
        The record that the template shows.

    Raises:
        UserError: What says which stages the run has is damaged (named).
    """
    damage = _find_damage(run)
    lead = read_or_default(lambda: " ".join(describe_run(run.recipe)), "", damage)
    read = cache(read_evaluations_by_set)
    last = read_or_default(lambda: find_last_evaluations(run, read), None, damage)
    headline = read_or_default(lambda: write_headline(run, last), "", damage)
    facts = read_or_default(lambda: [("state", f"{describe_progress(run)}."), *list_run_facts(run)], (), damage)
    tiles = _make_tiles(run, last)
    compares = last is not None and not tiles and is_model_comparison(run, last[0])
    cost_lines = read_or_default(lambda: list(costs.read_costs(run)), (), damage)
    reproduction = read_or_default(partial(_make_reproduction, run), None, damage)
    next_steps = read_or_default(lambda: list(suggest_next_steps(run)), (), damage)
    paper = f" {describe_paper_costs()}" if costs.is_comparable_to_paper(run) else ""
    return Report(
        name=run.recipe["name"],
        seed=run.seed,
        headline=headline,
        lead=lead,
        facts=facts,
        tiles=tiles,
        models=make_models_table(comparison_table.compare_models(last[1])) if compares and last else None,
        stages=[make_stage_section(StageData.read(run, name, read)) for name in run.stages],
        damage=damage,
        costs=make_cost_table(cost_lines, caption="What the run cost") if cost_lines else None,
        cost_note=COST_NOTE + paper,
        reproduction=reproduction,
        next_steps=next_steps,
    )


def _find_damage(run: RunReader) -> list[str]:
    """Name what must be there and is gone, or cannot be read, of the run itself."""
    damage = list[str]()
    if read_or_default(run.read_summary, {}, damage) is None and run.state.kind == "done":
        damage.append(f"{run.directory / 'summary.json'}: is gone, though the run has ended")
    damage += [f"{run.stage(name).path}: is gone" for name in run.manifest["stages"] if name not in run.stages]
    return damage


def _make_tiles(run: RunReader, last: LastEvaluations | None) -> list[Tile]:
    """Show the results of the first set at both ends, the stage's first measure first; none without both ends."""
    ends = find_base_and_trained(next(iter(last[1].values()))) if last else None
    if not last or not ends:
        return []
    first = comparison_table.choose_first_measure(run.recipe["stages"].get(last[0], {}), ends[1].results)
    both = [name for name in ends[1].results if name in ends[0].results]
    shown = sorted((name for name in both if name == first or _has_tile(name)), key=lambda name: name != first)
    return [_make_tile(name, *ends) for name in shown]


def _has_tile(name: str) -> bool:
    return name in ("pass@1", "length", "reflections") or name.startswith("cons@")


def _make_tile(name: str, base: Evaluation, trained: Evaluation) -> Tile:
    before, after = base.results[name], trained.results[name]
    return Tile(
        label=describe_quantity(name).label,
        values=" → ".join(format_number(name, end.value, end) for end in (before, after)),
        intervals=f"{format_interval(name, before)} → {format_interval(name, after)}",
    )


def _make_reproduction(run: RunReader) -> Reproduction:
    return Reproduction(
        command=f"dunwu run {shlex.quote(str(run.directory / 'recipe.json'))} --out NEW_FOLDER",
        versions=run.manifest["versions"],
        recipe=run.read_recipe_text(),
        validated=json.dumps(run.recipe, indent=2, ensure_ascii=False),
    )
