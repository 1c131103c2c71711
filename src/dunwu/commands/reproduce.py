"""``dunwu reproduce``: a recipe under several seeds, and what the runs say together, with intervals over runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dunwu.analysis.seeds import compare_seeds
from dunwu.commands.plan import list_seconds, plan_recipe, refuse
from dunwu.commands.run import execute
from dunwu.config.loader import load_recipe
from dunwu.errors import UserError
from dunwu.monitoring.console import ConsoleProgress
from dunwu.monitoring.progress import Monitor
from dunwu.observatory.report.seeds_report import write_seeds_report
from dunwu.observatory.terminal_tables import tabulate_models
from dunwu.runs import RunReader


def reproduce(
    file: Path, *, seeds: Sequence[int], overrides: Sequence[str] = (), out: Path | None = None, resume: bool = False
) -> Path:
    """Run a recipe once for each seed, in OUT/seed-N, then write OUT/report.html.

    Args:
        file: The recipe's; its ``seed`` is replaced.
        seeds: At least two.
        overrides: ``PATH=VALUE``, as for ``--set``.
        out: The folder of the runs; None: runs/NAME-seeds.
        resume: Go on with the runs that are there; those that are done are not run again.

    Returns:
        The report's path.

    Raises:
        UserError: The recipe or a seed cannot be used, or there is a run already.
        Interrupted: SIGTERM, SIGINT or SIGHUP; what was done is saved.
        Fault: NaN, a full disk, no whole checkpoint.
    """
    monitor: Monitor = ConsoleProgress(advises=False)
    recipe = load_recipe(file, overrides)
    out = out or Path("runs") / f"{recipe.name}-seeds"
    monitor.show_activity("checking the recipe")
    try:
        planned = plan_recipe(recipe, out, file=file, overrides=overrides)
    finally:
        monitor.close()
    refuse(planned)
    if len(set(seeds)) < 2:
        raise UserError(f"{len(set(seeds))} seed gives no interval: name two or more", field="--seeds")
    if any(override.partition("=")[0].strip() == "seed" for override in overrides):
        raise UserError("the seeds are --seeds'", field="--set seed")
    folders = {seed: out / f"seed-{seed}" for seed in seeds}
    begun = {seed: RunReader(folder) for seed, folder in folders.items() if (folder / "manifest.json").exists()}
    if begun and not resume:
        raise UserError("holds a run already; go on with --resume", file=folders[min(begun)])
    recipes = {
        seed: load_recipe(file, [*overrides, f"seed={seed}"], begun[seed].recipe if seed in begun else None)
        for seed in seeds
    }
    seconds = list_seconds(planned)
    for number, (seed, folder) in enumerate(folders.items(), start=1):
        monitor = ConsoleProgress(advises=False)
        monitor.log_message(f"\nseed {seed}, run {number} of {len(folders)}: {folder}")
        execute(recipes[seed], folder, resume=seed in begun, file=file, monitor=monitor, planned_seconds=seconds)
    runs = [RunReader(folder) for folder in folders.values()]
    tables = compare_seeds(runs)
    console = ConsoleProgress().console
    for table in tables:
        console.print()
        console.print(tabulate_models(table, console.width))
    return write_seeds_report(out, runs, tables)
