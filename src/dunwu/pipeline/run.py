"""A run: the recipe's stages in order, in one directory, resumable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import dunwu
from dunwu.config.schema import PretrainStage, Recipe, RLStage, Stage
from dunwu.errors import UserError
from dunwu.observatory.report import write_report
from dunwu.observatory.terminal import Progress
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.stopping import StopSignal
from dunwu.runs import Run

RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


def run_recipe(recipe: Recipe, recipe_path: Path, out: Path, resume: bool) -> None:
    """Runs every stage that is not done, then writes summary.json and report.html.

    Args:
        recipe: validated, overrides applied.
        recipe_path: the file it came from, kept in the run directory as it is.
        out: the run directory.
        resume: go on with the run that is there, instead of beginning one.

    Raises:
        UserError: the recipe, the model or the data cannot be used; the directory holds another run or is in use.
        Interrupted: SIGTERM or SIGINT; what was done is saved.
        Fault: NaN, a full disk, no whole checkpoint.
    """
    began = time.monotonic()
    with StopSignal() as stop, _open(recipe, recipe_path, out, resume) as run:
        progress = Progress()
        try:
            try:
                _run_stages(recipe, recipe_path, run, stop, progress)
            finally:
                progress.close()
                seconds = run.add_seconds(time.monotonic() - began)
        except UserError:
            run.withdraw()
            raise
        run.write_summary({"seed": recipe.seed, "seconds": round(seconds, 1), "results": results(run)})
        progress.finished(run, write_report(out), seconds)


def results(run: Run) -> dict[str, dict[str, Any]]:
    """The evaluations of the run's last stage that has any: ``base`` and ``trained`` on the first set, then
    ``base/NAME`` and ``trained/NAME`` on the others; each quantity as value, low, high (95 %)."""
    for name in reversed(run.stages):
        evaluations = [e for e in run.stage(name).read_evaluations() if not e.checkpoint.startswith("step-")]
        if evaluations:
            first = run.recipe["stages"][name]["evaluation"]["sets"][0]["name"]
            return {
                (e.checkpoint if e.set == first else f"{e.checkpoint}/{e.set}"): {
                    quantity: asdict(estimate) for quantity, estimate in e.results.items()
                }
                for e in sorted(evaluations, key=lambda e: e.set != first)
            }
    return {}


def _open(recipe: Recipe, recipe_path: Path, out: Path, resume: bool) -> Run:
    recipe_json = recipe.model_dump(mode="json", by_alias=True)
    if resume:
        return Run.resume(out, recipe_json)
    versions = {"dunwu": dunwu.__version__, "python": python_version()}
    versions |= {package: version(package) for package in RECORDED_PACKAGES}
    text = recipe_path.read_text(encoding="utf-8")
    return Run.create(out, recipe_text=text, recipe_json=recipe_json, seed=recipe.seed, versions=versions)


def _run_stages(recipe: Recipe, recipe_path: Path, run: Run, stop: StopSignal, progress: Progress) -> None:
    import torch  # seconds: a directory that cannot be used is refused before, and a stop is heard during it

    for name, stage in recipe.stages.items():
        if run.stages.get(name) == "done":
            progress.message(f"{name}: done before")
            continue
        torch.set_num_threads(stage.model.threads or _cores())
        source = run.stage(stage.from_).model if isinstance(stage, RLStage) and stage.from_ in run.stages else None
        store = run.stage(name, keep=stage.checkpoint.keep)
        context = StageContext(name=name, seed=recipe.seed, store=store, stop=stop, progress=progress, note=run.note)
        with _placed(recipe_path, name):
            _run_stage(stage, context, source)


def _run_stage(stage: Stage, context: StageContext, source: Path | None) -> None:
    match stage:
        case RLStage():
            from dunwu.pipeline.rl import run_rl

            run_rl(stage, context, str(source or stage.from_))
        case PretrainStage():
            from dunwu.pipeline.pretrain import run_pretrain

            run_pretrain(stage, context)


@contextmanager
def _placed(recipe_path: Path, stage: str) -> Iterator[None]:
    """What a stage finds wrong with its recipe is told with the recipe's name and the stage's."""
    try:
        yield
    except UserError as error:
        if error.file is not None:
            raise
        field = ".".join(part for part in (f"stages.{stage}", error.field) if part)
        raise UserError(error.message, file=recipe_path, field=field) from error


def _cores() -> int:
    """The cores that this process may use; not every system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
