"""``dunwu run``: a recipe from its file to its report. The terminal, the signals and the lock of a run are held here.

The pipeline gets all three handed in, so that it can one day work in a child process of the one that holds them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Literal

import dunwu
from dunwu.analysis.next_steps import find_program
from dunwu.commands.plan import plan_recipe, planned_seconds, refuse
from dunwu.config.loader import load_recipe
from dunwu.config.packaged import recipe_file
from dunwu.errors import Interrupted, UserError
from dunwu.monitoring.progress import Broadcast, Monitor
from dunwu.runs import Run, RunReader

if TYPE_CHECKING:
    from dunwu.config.schema import Recipe

Log = Literal["rich", "quiet", "json"]
RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


def run(
    name: str,
    *,
    overrides: Sequence[str] = (),
    out: Path | None = None,
    resume: bool = False,
    log: Log = "rich",
    track: Sequence[str] = (),
) -> RunReader:
    """Run a recipe: one stage or the whole pipeline.

    Args:
        name: a TOML file, or a recipe that comes with Dunwu.
        overrides: ``PATH=VALUE``, as for ``--set``.
        out: the run directory; None: runs/NAME.
        resume: go on where the run in the directory stopped.
        log: what is printed: for people, next to nothing, or a JSON object a line.
        track: trackers that get the numbers too, by name.

    Returns:
        The run.

    Raises: see ``execute``.
    """
    file, monitor = recipe_file(name), open_monitor(log)
    with closing(monitor):
        monitor.show_activity("checking the recipe")
        recipe = load_recipe(file, overrides)
        folder = out or Path("runs") / recipe.name
        planned = plan_recipe(recipe, folder, file=file, overrides=overrides)
        refuse(planned, folder if resume else None)
    try:
        seconds = planned_seconds(planned)
        return execute(recipe, folder, resume=resume, file=file, monitor=monitor, planned_seconds=seconds, track=track)
    except Interrupted as error:
        settings = [part for text in overrides for part in ("--set", text)]
        settings += [part for tracker in track for part in ("--track", tracker)]
        settings += ["--log", log] if log != "rich" else []
        again = shlex.join([find_program(), "run", name, *settings, "--out", str(folder), "--resume"])
        raise Interrupted(f"{error}; resume with: {again}") from error


def open_monitor(log: Log) -> Monitor:
    """Open what prints a run."""
    if log == "json":
        from dunwu.monitoring.json_lines import JsonProgress

        return JsonProgress()
    from dunwu.monitoring.console import ConsoleProgress

    return ConsoleProgress(quiet=log == "quiet")


def execute(
    recipe: Recipe,
    out: Path,
    *,
    monitor: Monitor,
    planned_seconds: Mapping[str, float | None],
    resume: bool = False,
    track: Sequence[str] = (),
    file: Path | None = None,
    text: str = "",
) -> RunReader:
    """Run every stage that is not done, then write summary.json and report.html, and show how the run ended.

    Args:
        recipe: validated, overrides applied.
        out: the run directory.
        monitor: takes what the run says; closed at the end.
        planned_seconds: what each stage was planned to take, see ``plan.planned_seconds``.
        resume: go on with the run that is there, instead of beginning one.
        track: trackers by their names.
        file: the recipe's, kept in the run directory as it is; None: a command made it.
        text: the recipe in TOML, where it came from no file.

    Returns:
        The run.

    Raises:
        UserError: the recipe, the model or the data cannot be used; the directory holds another run or is in use; a
            tracker is unknown or not installed.
        Interrupted: SIGTERM, SIGINT or SIGHUP; what was done is saved.
        Fault: NaN, a full disk, no whole checkpoint.
    """
    from dunwu.monitoring.trackers import Trackers
    from dunwu.observatory.report.report import write_report
    from dunwu.observatory.terminal_tables import end_tables
    from dunwu.pipeline.interrupts import StopSignal
    from dunwu.pipeline.run import run_recipe

    text = file.read_text(encoding="utf-8") if file else text
    with StopSignal() as stop, open_run(recipe, text, out, resume) as run, closing(monitor):
        stop.record = run.record_end
        try:
            run.note("planned_seconds", planned_seconds)
            monitor.start_run(RunReader(run.directory))
            with closing(Trackers(track, run, monitor.log_message)) as trackers:
                seconds = run_recipe(recipe, run, stop, Broadcast(monitor, trackers), file=file)
        except UserError:
            run.withdraw()
            raise
        monitor.show_activity("writing the report")
        with stop.writing():  # the run is done: a stop waits for its report
            report = write_report(out)
        if monitor.table_width:
            for table in end_tables(run, monitor.table_width):
                monitor.show(table)
        monitor.finish_run(run, report, seconds)
        return RunReader(run.directory)


def open_run(recipe: Recipe, text: str, out: Path, resume: bool) -> Run:
    """Begin or take up a run directory, and hold its lock."""
    recipe_json = recipe.model_dump(mode="json", by_alias=True)
    if resume:
        return Run.resume(out, recipe_json)
    versions = {"dunwu": dunwu.__version__, "python": python_version()}
    versions |= {package: version(package) for package in RECORDED_PACKAGES}
    return Run.create(out, recipe_text=text, recipe_json=recipe_json, seed=recipe.seed, versions=versions)
