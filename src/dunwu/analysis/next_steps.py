"""What can be done with a run as it stands: commands to copy, the most useful first."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from dunwu.analysis.run_description import Stages, is_generated, list_sets
from dunwu.analysis.stage_roles import compares_models, learns_from_rewards, makes_reward_model
from dunwu.runs import ABLATION, REGISTERED, RunReader

BENCHMARKS = {"math": "math500"}
"""What ``dunwu eval`` calls data sets that have another name there."""
FILE_BENCHMARKS = {"math": "file", "choice": "choices", "code": "programs"}
"""What it calls a file of the user's, by what grades the answers."""
MODEL_GRADED = ("alpaca", "arena", "safety")
"""Data sets that it measures with a judge only."""


class Advice(NamedTuple):
    """A command, to be copied as it stands, and what it is for."""

    command: str
    purpose: str


def find_program() -> str:
    """Name what starts Dunwu here: its name where the shell finds it, else the path that it was started by."""
    if shutil.which("dunwu"):
        return "dunwu"
    started = sys.argv[0]
    return started if Path(started).name == "dunwu" else str(Path(sys.executable).with_name("dunwu"))


def suggest_next_steps(run: RunReader, starting: str = "dunwu") -> Iterator[Advice]:
    """Say what can be done with a run as it stands.

    Args:
        run: The run, at any moment.
        starting: What starts Dunwu.

    Yields:
        Commands, each with what it is for, the most useful first. Of a run whose recipe has names that a Python process
        registered, only those that need no such name.
    """

    def advice(purpose: str, *words: str) -> Advice:
        return Advice(shlex.join([starting, *words]), purpose)

    stages: Stages = run.recipe["stages"]
    registered = run.manifest.get(REGISTERED, [])
    folder, recipe, kind = str(run.directory), str(run.directory / "recipe.json"), run.state.kind
    if kind in ("stopped", "failed") and not registered:
        mended = "when that is mended, go on where it stands" if kind == "failed" else "go on where it stands"
        yield advice(mended, "run", recipe, "--out", folder, "--resume")
    measures = all(map(compares_models, stages.values()))
    shown = "every answer" if measures else "the curves and every answer"
    yield advice(f"{shown}, in a browser", "watch", folder)
    done = [name for name, state in run.stages.items() if state == "done"]
    learnt = [name for name in done if learns_from_rewards(stages[name])]
    if (
        learnt
        and not registered
        and _can_be_cut(run, learnt[0])
        and run.stage(learnt[0]).derived.read_record(ABLATION) is None
    ):
        yield advice("does its reflection help? answers go on without and with it", "ablate", folder)
    if (writers := list(find_finished_models(run))) and (measured := _choose_benchmark(stages, registered)):
        base = str(stages[writers[-1].parent.name].get("from") or "")
        bases = [base] if base and base not in stages else []
        yield advice("the model on a benchmark", "eval", folder, *bases, *measured)
    if kind != "done" or registered:
        return
    if learnt and learnt[-1] == list(stages)[-1]:
        steps = f"stages.{learnt[-1]}.steps={2 * stages[learnt[-1]]['steps']}"
        yield advice("train it twice as long", "run", recipe, "--set", steps, "--out", folder, "--resume")
    if not measures:
        yield advice("do other seeds say the same?", "reproduce", recipe, "--seeds", "1,2,3")


def find_finished_models(run: RunReader) -> Iterator[Path]:
    """Yield the folders of a run's finished models that write, in its order."""
    for name, state in run.stages.items():
        folder = run.stage(name).model
        if state == "done" and not makes_reward_model(run.recipe["stages"][name]) and folder.is_dir():
            yield folder


def _can_be_cut(run: RunReader, name: str) -> bool:
    """Tell whether a stage's answers can be continued: it still reflects, and there are problems that it never drew.

    Of a file that it trained on a handful is held out most times, so only what it was measured on counts.
    """
    stage, rows = run.recipe["stages"][name], run.stage(name).read_metrics()
    task, reflects = stage["tasks"][0], not rows or rows[-1].get("reflections", 1.0) > 0
    return reflects and bool(list_sets(stage) or not (task.get("path") or task.get("hub")))


def _choose_benchmark(stages: Stages, registered: Collection[str]) -> list[str]:
    """Choose the options by which ``dunwu eval`` measures what the run is about.

    That is a file that it was measured on, else what it trained on, generated afresh; none where there is neither, or
    where only the process that made the run knows the task.
    """
    trained = [task for stage in stages.values() for task in stage.get("tasks", [])]
    files = {task["path"] for task in trained if task.get("path")}
    measured = [chosen["task"] for stage in stages.values() for chosen in list_sets(stage)]
    for task in measured:
        if task.get("path") and task["path"] not in files and task["task"] not in MODEL_GRADED:
            if task["task"] != "file":
                return ["--bench", BENCHMARKS.get(task["task"], task["task"]), "--data", task["path"]]
            columns = [word for name, column in task["fields"].items() for word in ("--field", f"{name}={column}")]
            bench = FILE_BENCHMARKS.get(task["kind"])
            return ["--bench", bench, "--data", task["path"], *columns] if bench else []
    known = (task["task"] for task in (*trained, *measured) if is_generated(task) and task["task"] not in registered)
    return next((["--bench", task] for task in known), [])
