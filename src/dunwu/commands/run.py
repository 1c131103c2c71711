"""``dunwu run``: a recipe from its file to its report. The terminal, the signals and the lock of a run are held here.

The pipeline gets all three handed in. On the command line this works in a child process, whose parent holds them, too.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

from dunwu.analysis.next_steps import find_program
from dunwu.api.run import Run
from dunwu.commands.parent import find_parent
from dunwu.commands.plan import list_seconds, open_recipe, plan_recipe, refuse, suggest_resume
from dunwu.config.overrides import write_overrides
from dunwu.config.toml import dump_toml
from dunwu.errors import Interrupted, UserError
from dunwu.monitoring.monitors import Log, open_monitor
from dunwu.monitoring.progress import Broadcast, Monitor
from dunwu.runs import RunReader, RunWriter
from dunwu.runs.lock import DirectoryLock
from dunwu.version import __version__

if TYPE_CHECKING:
    from dunwu.config.schema import Recipe

RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


def run(
    recipe: str | Path | Mapping[str, Any],
    *,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    resume: bool = False,
    cluster: str | None = None,
    log: Log = "rich",
    track: Sequence[str] = (),
) -> Run:
    """Run a recipe: one stage or the whole pipeline.

    Args:
        recipe: A TOML file, a recipe that comes with Dunwu (``nano/r1-zero``), or the tables of one.
        out: The run directory; None: runs/NAME.
        overrides: Values by path, ``{"stages.zero.steps": 32}``, or ``PATH=VALUE`` as for ``--set``.
        resume: Go on where the run in the directory stopped.
        cluster: Work on a Ray cluster: ``HOST:PORT`` of its head, ``auto``, or ``local``; None: as the recipe says.
        log: What is printed: rows for people, a few lines, or a JSON object a line.
        track: Trackers that get the numbers too: ``tensorboard``, ``wandb``, ``trackio``.

    Returns:
        The finished run.

    Raises:
        UserError: The recipe, a model or the data cannot be used; the directory holds another run or is in use.
        Interrupted: SIGTERM, SIGINT or SIGHUP; what was done is saved.
        Fault: NaN, a full disk, no whole checkpoint.
    """
    overrides, monitor = write_overrides(overrides), open_monitor(log)
    if cluster is not None:
        overrides = [*overrides, "executor=ray", f"cluster={cluster}"]
    with closing(monitor):
        monitor.show_activity("checking the recipe")
        with suggest_resume(Path(out) if resume and out is not None else None):
            file, checked = open_recipe(recipe, overrides)
            folder = Path("runs") / checked.name if out is None else Path(out)
            if resume and (folder / "manifest.json").is_file():  # what auto stands for was settled when it began
                file, checked = open_recipe(recipe, overrides, begun=RunReader(folder).recipe)
        planned = plan_recipe(checked, folder, file=file, overrides=overrides)
        with suggest_resume(folder if resume else None):
            refuse(planned)
    try:
        return execute(
            checked,
            folder,
            resume=resume,
            file=file,
            text="" if file else dump_toml(checked),
            monitor=monitor,
            planned_seconds=list_seconds(planned),
            track=track,
        )
    except Interrupted as error:
        if file is None:
            raise Interrupted(f"{error}; resume=True goes on") from error
        settings = [part for text in overrides for part in ("--set", text)]
        settings += [part for tracker in track for part in ("--track", tracker)]
        settings += ["--log", log] if log != "rich" else []
        again = shlex.join([find_program(), "run", str(recipe), *settings, "--out", str(folder), "--resume"])
        raise Interrupted(f"{error}; resume with: {again}") from error


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
) -> Run:
    """Run every stage that is not done, then write summary.json and report.html, and show how the run ended.

    Args:
        recipe: Validated, overrides applied.
        out: The run directory.
        monitor: Shows what the run says; closed at the end.
        planned_seconds: What each stage was planned to take, see ``plan.list_seconds``.
        resume: Go on with the run that is there, instead of beginning one.
        track: Trackers by their names.
        file: The recipe's, kept in the run directory as it is; None: a command made it.
        text: The recipe in TOML, where it came from no file.

    Returns:
        The run.

    Raises:
        UserError: The recipe, the model or the data cannot be used; the directory holds another run or is in use; a
            tracker is unknown or not installed.
        Interrupted: SIGTERM, SIGINT or SIGHUP; what was done is saved.
        Fault: NaN, a full disk, no whole checkpoint.
    """
    from dunwu.analysis.facts_worker import extract_meanwhile
    from dunwu.monitoring.trackers import Trackers
    from dunwu.observatory.report.report import write_report
    from dunwu.observatory.terminal_tables import summarize_run
    from dunwu.pipeline.interrupts import StopSignal, is_interactive
    from dunwu.pipeline.run import run_recipe

    text, parent = file.read_text(encoding="utf-8") if file else text, find_parent()
    with (
        StopSignal(parent.signals, ends_process=not is_interactive()) as stop,
        parent.letting_go(),
        open_run(recipe, text, out, resume, parent.take_lock) as run,
        closing(monitor),
    ):
        stop.record, stop.say_writing = run.record_end, parent.say_writing
        try:
            run.note("planned_seconds", planned_seconds)
            monitor.start_run(RunReader(run.directory))
            with closing(Trackers(track, run, monitor.log_message)) as trackers, extract_meanwhile(run.directory):
                seconds = run_recipe(recipe, run, stop, Broadcast(monitor, trackers), file=file)
        except UserError:
            run.withdraw()
            raise
        monitor.show_activity("writing the report")
        with stop.writing():  # the run is done: a stop waits for its report
            report = write_report(out)
        monitor.show_activity("keeping what opens the model at once")
        _keep_snapshot(out)
        if monitor.table_width:
            for table in summarize_run(run, monitor.table_width):
                monitor.show(table)
        monitor.finish_run(run, report, seconds)
        return Run(run.directory)


def _keep_snapshot(out: Path) -> None:
    """Leave what ``dunwu chat`` opens the run's model by: here transformers is loaded, and there it takes seconds."""
    import torch

    from dunwu.api.model_sources import source_of
    from dunwu.config.schema import ModelSpec
    from dunwu.execution.executor import open_executor
    from dunwu.serve.chat_model import LONGEST

    with suppress(Exception):  # of a run without a model that writes, too: whoever asks for one is answered then
        source = source_of(str(out)).source
        spec = ModelSpec(device="cpu", threads=torch.get_num_threads())
        open_executor(spec, lambda _: None).open_reader(source, longest=LONGEST)


def open_run(
    recipe: Recipe, text: str, out: Path, resume: bool, take_lock: Callable[[Path], DirectoryLock] = DirectoryLock
) -> RunWriter:
    """Begin or take up a run directory, and hold its lock.

    Args:
        recipe: Validated, overrides applied.
        text: The recipe in TOML, as it is kept.
        out: The run directory.
        resume: Take up the run that is there, instead of beginning one.
        take_lock: Takes the lock of a directory.

    Returns:
        The writer; close it to give the lock back.

    Raises:
        UserError: There is a run already, or none to resume; another process uses it; its recipe was another one.
    """
    recipe_json = recipe.model_dump(mode="json", by_alias=True)
    if resume:
        return RunWriter.resume(out, recipe_json, take_lock)
    versions = {"dunwu": __version__, "python": python_version()}
    versions |= {package: version(package) for package in RECORDED_PACKAGES}
    return RunWriter.create(
        out, recipe_text=text, recipe_json=recipe_json, seed=recipe.seed, versions=versions, take_lock=take_lock
    )
