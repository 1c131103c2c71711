"""A run as one self-contained HTML file, made from its directory alone, at any moment of the run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from dunwu import paper
from dunwu.observatory import beside, ledger, page
from dunwu.observatory.figures import Told
from dunwu.observatory.findings import EvaluationsBySet, are_models, base_and_trained, last_evaluated
from dunwu.observatory.sections import models_table, stage_section
from dunwu.observatory.wording import checkpoint, interval, number, quantity
from dunwu.runs import Evaluation, RunReader
from dunwu.runs.atomic import atomic_write


def write_report(run_dir: Path) -> Path:
    """Writes DIR/report.html from whatever the run has stored so far, and returns its path.

    Raises:
        UserError: the folder holds no run, or one of its files is damaged (named).
        Fault: the report cannot be written.
    """
    run = RunReader(run_dir)
    path = run_dir / "report.html"
    sections = [
        _opening(run),
        *(stage_section(Told.of(run, name)) for name in run.stages),
        _ledger(run),
        _reproduce(run),
    ]
    atomic_write(path, page.page(f"{run.recipe['name']} · Dunwu", sections).encode())
    return path


def headline(run: RunReader) -> str:
    """What happened, in one sentence; claims no change that the 95 % intervals do not show."""
    found = last_evaluated(run)
    if found is None:
        return "No held-out evaluation yet, so there is nothing to claim."
    stage, by_set = found
    if are_models(run, stage):
        return _beside(run, by_set)
    name, evaluations = next(iter(by_set.items()))
    ends = base_and_trained(evaluations)
    if ends is None or any("pass@1" not in end.results for end in ends):
        only = evaluations[-1]
        told = number("pass@1", only.results["pass@1"].value) if "pass@1" in only.results else "measured"
        return f"{checkpoint(only.checkpoint).capitalize()} on {only.problems:,} held-out problems ({name}): {told}."
    problems = ends[0].problems
    before, after = (end.results["pass@1"] for end in ends)
    told = " to ".join(f"{number('pass@1', end.value)} ({interval('pass@1', end)})" for end in (before, after))
    if before.low <= after.high and after.low <= before.high:
        return (
            f"Right answers went from {told} on {problems:,} held-out problems: no change that the intervals can tell."
        )
    verb = "grew" if after.value > before.value else "fell"
    return f"Right answers {verb} from {told} on {problems:,} problems that training never drew."


def _beside(run: RunReader, by_set: EvaluationsBySet) -> str:
    """Of a pipeline from the first model to the last, what each benchmark measures above all; of an evaluation every
    model."""
    if all(stage.get("kind") == "eval" for stage in run.recipe["stages"].values()):
        told = [
            f"{row.benchmark}: " + ", ".join(f"{name} {number('pass@1', v.value)}" for name, v in row.values.items())
            for row in beside.rows(by_set)
            if row.quantity == "pass@1"
        ]
        return f"Right answers, {'; '.join(told)}." if told else "Models beside each other."
    told, ends = list[str](), ("", "")
    for row in beside.rows(by_set):
        if row.quantity == "pass@1" and len(row.values) > 1:
            (first, before), *_, (last, after) = row.values.items()
            ends = (first, last)
            values = " to ".join(number("pass@1", value.value) for value in (before, after))
            told.append(f"{row.benchmark} {values}")
    if not told:
        return "Models beside each other."
    return f"Right answers from {ends[0]} to {ends[1]}: {', '.join(told)}."


def progress(run: RunReader) -> str:
    """Which stage a run is at, and how far that is."""
    if not run.stages:
        return "The run has not begun its first stage"
    name, status = list(run.stages.items())[-1]
    rows = run.stage(name).read_metrics()
    done = int(rows[-1]["step"]) if rows else 0
    total = run.recipe["stages"].get(name, {}).get("steps")
    stages = len(run.recipe["stages"])
    place = f" ({len(run.stages)} of {stages})" if stages > 1 else ""
    step = (f", step {done:,}" if done or total else "") + (f" of {total:,}" if total else "")
    return f"Stage {name}{place} is {status}{step}"


def _opening(run: RunReader) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.manifest["versions"].items())
    facts = f"{progress(run)}. Seed {run.seed}. {versions}."
    parts = [
        f"<h1>{page.text(run.recipe['name'])} · seed {run.seed}</h1>",
        f'<p class="headline">{page.text(headline(run))}</p>',
        f'<p class="note">{page.text(facts)}</p>',
    ]
    found = last_evaluated(run)
    ends = base_and_trained(next(iter(found[1].values()))) if found else None
    if ends:
        shown = [name for name in ends[1].results if name in ends[0].results and _on_a_tile(name)]
        parts.append(f'<div class="tiles">{"".join(_tile(name, *ends) for name in shown)}</div>')
        parts.append('<p class="note">Before → after; below each, and in brackets above, the 95 % intervals.</p>')
    elif found and are_models(run, found[0]):
        parts.append(models_table(beside.of_run(found[1])))
    return "".join(parts)


def _on_a_tile(name: str) -> bool:
    return name in ("pass@1", "length", "reflections") or name.startswith("cons@")


def _tile(name: str, base: Evaluation, trained: Evaluation) -> str:
    before, after = base.results[name], trained.results[name]
    return (
        f'<div class="tile"><b>{number(name, before.value)} → {number(name, after.value)}</b>'
        f"<span>{page.text(quantity(name).label)}</span>"
        f"<small>{interval(name, before)} → {interval(name, after)}</small></div>"
    )


def _ledger(run: RunReader) -> str:
    found = list(ledger.lines(run))
    if not found:
        return ""
    rows = [[page.text(line.stage), line.module, *ledger.cells(line)] for line in (*found, ledger.total(found))]
    note = (
        "All processes of the run together, work that a stop or a kill undid among it. Rewards are graded while the "
        "policy still writes: only what was waited for counts."
    )
    if ledger.is_like_the_paper(run):
        note += f" {paper.beside()}"
    table = page.table("What the run cost", ["stage", "module", *ledger.HEADS], rows)
    return f'<h2>Ledger</h2>{table}<p class="note">{page.text(note)}</p>'


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
