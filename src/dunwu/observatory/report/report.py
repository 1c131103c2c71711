"""A run as one self-contained HTML file, made from its directory alone, at any moment of the run."""

from __future__ import annotations

import json
import logging
import shlex
from functools import partial
from pathlib import Path
from typing import Any

from dunwu.analysis import comparison_table, costs
from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.headline import write_headline
from dunwu.analysis.labels import describe_quantity, format_interval, format_number
from dunwu.analysis.next_steps import suggest_next_steps
from dunwu.analysis.paper_costs import describe_paper_costs
from dunwu.analysis.results import find_base_and_trained, find_last_evaluations, is_model_comparison
from dunwu.analysis.run_description import describe_run
from dunwu.analysis.run_status import describe_progress, list_run_facts
from dunwu.observatory.figures import Told
from dunwu.observatory.report import page
from dunwu.observatory.report.sections import models_table, stage_section
from dunwu.runs import Evaluation, RunReader
from dunwu.runs.atomic import atomic_write

logger = logging.getLogger(__name__)


def write_report(run_dir: Path, out: Path | None = None) -> Path:
    """Write a report of whatever the run has stored so far. Damaged files are named in it, and on stderr.

    Args:
        run_dir: the run.
        out: the file; DIR/report.html where it is None.

    Returns:
        The path of what was written.

    Raises:
        UserError: the folder holds no run, or what says which stages it has is damaged (named).
        Fault: the report cannot be written.
    """
    run, lost = RunReader(run_dir), list[str]()
    nothing: dict[str, Any] | None = {}
    if read_or_default(run.read_summary, nothing, lost) is None and run.state.kind == "done":
        lost.append(f"{run_dir / 'summary.json'}: is gone, though the run has ended")
    lost += [f"{run.stage(name).path}: is gone" for name in run.manifest["stages"] if name not in run.stages]
    beginning = _beginning(run, lost)
    end = "".join(read_or_default(partial(make, run), "", lost) for make in (_ledger, _reproduce, _next))
    stages = [Told.of(run, name) for name in run.stages]
    sections = [beginning, *map(stage_section, stages), page.damage_notes(lost), end]
    path = out or run_dir / "report.html"
    atomic_write(path, page.page(f"{run.recipe['name']} · Dunwu", sections).encode())
    for line in dict.fromkeys([*lost, *(line for told in stages for line in (*told.damaged, *told.lost))]):
        logger.warning("%s", line)
    return path


def _beginning(run: RunReader, lost: list[str]) -> str:
    sentences = read_or_default(lambda: " ".join(describe_run(run.recipe)), "", lost)
    parts = [
        f"<h1>{page.text(run.recipe['name'])} · seed {run.seed}</h1>",
        read_or_default(lambda: page.headline(write_headline(run)), "", lost),
        f'<p class="lead">{page.text(sentences)}</p>',
        read_or_default(lambda: page.facts([("state", f"{describe_progress(run)}."), *list_run_facts(run)]), "", lost),
    ]
    found = read_or_default(lambda: find_last_evaluations(run), None, lost)
    ends = find_base_and_trained(next(iter(found[1].values()))) if found else None
    if ends:
        first = (
            comparison_table.choose_first_measure(run.recipe["stages"].get(found[0], {}), ends[1].results)
            if found
            else None
        )
        both = [name for name in ends[1].results if name in ends[0].results]
        shown = sorted((name for name in both if name == first or _on_a_tile(name)), key=lambda name: name != first)
        parts.append(f'<div class="tiles">{"".join(_tile(name, *ends) for name in shown)}</div>')
        parts.append('<p class="note">From the base to the trained model; below each, the 95 % intervals.</p>')
    elif found and is_model_comparison(run, found[0]):
        parts.append(models_table(comparison_table.compare_models(found[1])))
    return "".join(parts)


def _on_a_tile(name: str) -> bool:
    return name in ("pass@1", "length", "reflections") or name.startswith("cons@")


def _tile(name: str, base: Evaluation, trained: Evaluation) -> str:
    before, after = base.results[name], trained.results[name]
    first, last = (format_number(name, end.value, end) for end in (before, after))
    return (
        f'<div class="tile"><b>{first} → {last}</b>'
        f"<span>{page.text(describe_quantity(name).label)}</span>"
        f"<small>{format_interval(name, before)} → {format_interval(name, after)}</small></div>"
    )


def _ledger(run: RunReader) -> str:
    found = list(costs.read_costs(run))
    if not found:
        return ""
    rows = [
        [page.text(line.stage), line.module, *costs.format_costs(line)] for line in (*found, costs.sum_costs(found))
    ]
    note = (
        "All processes of the run together, work that a stop or a kill undid among it. Rewards are graded while the "
        "policy still writes: only what was waited for counts."
    )
    if costs.is_comparable_to_paper(run):
        note += f" {describe_paper_costs()}"
    table = page.table("What the run cost", ["stage", "module", *costs.COLUMNS], rows, words=(1,))
    return f'<h2>Ledger</h2>{table}<p class="note">{page.text(note)}</p>'


def _next(run: RunReader) -> str:
    items = "".join(
        f'<li>{page.text(purpose.capitalize())}<div class="code"><pre>{page.text(command)}</pre></div></li>'
        for command, purpose in suggest_next_steps(run)
    )
    return f'<h2>What to do next</h2><ul class="next">{items}</ul>'


def _reproduce(run: RunReader) -> str:
    command = f"dunwu run {shlex.quote(str(run.directory / 'recipe.json'))} --out NEW_FOLDER"
    recipe = run.read_recipe_text()
    versions = "".join(
        f"<dt>{page.text(name)}</dt><dd>{page.text(version)}</dd>" for name, version in run.manifest["versions"].items()
    )
    validated = json.dumps(run.recipe, indent=2, ensure_ascii=False)
    return (
        "<h2>How to reproduce this</h2>"
        f'<div class="code"><pre>{page.text(command)}</pre></div>'
        "<p>With the same versions, seed and kind of machine it gives the same metrics and rollouts. recipe.json "
        "holds what --set changed, and absolute paths.</p>"
        f"<dl><dt>seed</dt><dd>{run.seed}</dd>{versions}</dl>"
        f"<details><summary>The recipe as given (recipe.toml)</summary><pre>{page.text(recipe)}</pre></details>"
        f"<details><summary>The recipe as it ran (recipe.json)</summary><pre>{page.text(validated)}</pre></details>"
    )
