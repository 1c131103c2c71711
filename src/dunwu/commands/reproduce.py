"""A recipe under several seeds, and what the runs say together: curves with bands, tables with intervals over runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dunwu.config.loader import load_recipe
from dunwu.errors import UserError
from dunwu.monitoring.console import Progress
from dunwu.observatory.report.seeds import joined_tables, write_seeds_report
from dunwu.observatory.terminal_tables import models_table
from dunwu.pipeline.run import run_recipe
from dunwu.runs import RunReader


def reproduce(recipe_path: Path, out: Path, seeds: Sequence[int], overrides: Sequence[str], resume: bool) -> Path:
    """Runs the recipe once for each seed, in OUT/seed-N, then writes OUT/report.html; its path.

    Args:
        recipe_path: whose ``seed`` is replaced.
        out: the folder of the runs.
        seeds: at least two.
        overrides: as for ``dunwu run``.
        resume: go on with the runs that are there; those that are done are not run again.

    Raises: as ``run_recipe``.
    """
    if len(set(seeds)) < 2:
        raise UserError(f"{len(set(seeds))} seed gives no interval: name two or more", field="--seeds")
    if any(override.partition("=")[0].strip() == "seed" for override in overrides):
        raise UserError("the seeds are --seeds'", field="--set seed")
    folders = {seed: out / f"seed-{seed}" for seed in seeds}
    recipes = {seed: load_recipe(recipe_path, [*overrides, f"seed={seed}"]) for seed in seeds}
    there = {seed for seed, folder in folders.items() if (folder / "manifest.json").exists()}
    if there and not resume:
        raise UserError("holds a run already; go on with --resume", file=folders[min(there)])
    for number, (seed, folder) in enumerate(folders.items(), start=1):
        progress = Progress(advises=False)
        progress.message(f"\nseed {seed}, run {number} of {len(folders)}: {folder}")
        run_recipe(recipes[seed], recipe_path, folder, resume=seed in there, progress=progress)
    runs = [RunReader(folder) for folder in folders.values()]
    tables = joined_tables(runs)
    console = Progress().console
    for table in tables:
        console.print()
        console.print(models_table(table, console.width))
    return write_seeds_report(out, runs, tables)
