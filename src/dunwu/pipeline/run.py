"""A run: the recipe's stages in order, in one directory, resumable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path

from dunwu.config.packaged import name_file
from dunwu.config.references import find_references, load_references
from dunwu.config.schema import DataSpec, Recipe
from dunwu.config.stage_kind import Makes, kind_of
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.machine import describe_machine, give_memory_back
from dunwu.monitoring.progress import Progress
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.run_summary import summarize_run
from dunwu.registry import rewards, stages
from dunwu.runs import REGISTERED, RunWriter


def run_recipe(
    recipe: Recipe, run: RunWriter, stop: StopSignal, progress: Progress, *, file: Path | None = None
) -> float:
    """Run every stage that is not done, then write summary.json.

    Args:
        recipe: validated, overrides applied.
        run: its directory, whose lock is held.
        stop: where a stop is asked for.
        progress: takes what the run says.
        file: the recipe's, for error lines; None: a command made it.

    Returns:
        The seconds that all processes of the run worked.

    Raises:
        UserError: the recipe, the model or the data cannot be used.
        Interrupted: a stop was asked for; what was done is saved.
        Fault: NaN, a full disk, no whole checkpoint.
    """
    began = time.monotonic()
    try:
        _run_stages(recipe, file, run, stop, progress)
    finally:
        seconds = run.add_seconds(time.monotonic() - began)
    run.write_summary(summarize_run(run, seconds))
    return seconds


def _run_stages(recipe: Recipe, file: Path | None, run: RunWriter, stop: StopSignal, progress: Progress) -> None:
    progress.show_activity("loading PyTorch")
    with stop.interruptible():
        # Takes seconds: a directory that cannot be used is refused before, and a stop is heard during it.
        import_module("torch")

        from dunwu.execution.local import list_accelerators
        from dunwu.kernels.builds import find_best_build
        from dunwu.pipeline.decontamination import decontaminate
        from dunwu.pipeline.inputs import convert_models, hash_inputs

        import_module("dunwu.pipeline.stages.rl_system")  # what nearly every stage imports
    run.note("machine", describe_machine(list_accelerators(), kernels=find_best_build()))
    if registered := list(_list_registered(recipe)):
        run.note(REGISTERED, registered)

    for name, stage in recipe.stages.items():
        with _name_stage(file, name), stop.interruptible():
            load_references(stage)

    def model(source: str) -> str:
        return str(run.reader(source).model) if source in recipe.stages else source

    made = [name for name, stage in recipe.stages.items() if kind_of(stage).makes == "data"]
    data = recipe.data | {name: DataSpec(path=run.reader(name).generated.file) for name in made}
    try:
        progress.show_activity("looking at the training texts")
        with stop.interruptible():
            left_out = decontaminate(recipe, run.directory, progress)
    except UserError as error:
        raise error if error.file else UserError(error.message, file=name_file(file), field=error.field) from error
    for number, (name, stage) in enumerate(recipe.stages.items(), start=1):
        progress.number_stage(number, len(recipe.stages))
        with _name_stage(file, name), stop.interruptible():
            if origins := convert_models(stage, progress):
                run.note("gguf", origins)
            inputs = hash_inputs(stage, data, model, left_out)
        if name in run.stages:
            run.check_inputs(name, inputs)
        if run.stages.get(name) == "done":
            progress.log_message(f"{name}: done before")
            continue
        store = run.stage(name, keep=stage.kept_checkpoints, writing=stop.writing)
        run.check_inputs(name, inputs)
        executor = open_executor(
            stage.model, progress.log_message, kind=recipe.executor, cluster=recipe.cluster, workers=stage.workers
        )
        context = StageContext(
            name=name,
            seed=recipe.seed,
            store=store,
            executor=executor,
            stop=stop,
            progress=progress,
            recipe=recipe.name,
            data=data,
            find_model=model,
            left_out=left_out,
            note=run.note,
        )
        progress.show_activity(f"loading what {name} needs")
        with closing(executor), _name_stage(file, name), stages.blame(stage.kind, "kind"):
            kind_of(stage).run(stage, context)
            _check_result(run, name, kind_of(stage).makes)
        progress.end_stage(name)
        give_memory_back()  # the next stage may need less


def _check_result(run: RunWriter, name: str, makes: Makes) -> None:
    """Raise UserError where a kind of stage returned before it had made what others will look for."""
    stage = run.reader(name)
    wanted = {"policy": stage.model, "scorer": stage.model, "data": stage.generated.file}
    if (made := wanted.get(makes)) is not None and not made.exists():
        raise UserError(f"returned, and made no {made.relative_to(stage.path)}: {makes} is what it makes", field="kind")
    if run.stages.get(name) != "done":
        raise UserError("returned, and did not say that it is done: context.store.finish() does", field="kind")


def _list_registered(recipe: Recipe) -> Iterator[str]:
    """Yield the names in a recipe that no other process will know."""
    for stage in recipe.stages.values():
        yield from (name for _, name, names in find_references(stage) if names.registry.is_registered(name))
        yield from (one.name for one in stage.inputs.functions if one.file is None and rewards.is_registered(one.name))


@contextmanager
def _name_stage(file: Path | None, stage: str) -> Iterator[None]:
    """Name the recipe and the stage in what a stage finds wrong with its recipe."""
    try:
        yield
    except UserError as error:
        if error.file is not None:
            raise
        field = ".".join(part for part in (f"stages.{stage}", error.field) if part)
        raise UserError(error.message, file=name_file(file), field=field) from error
