"""A run: the recipe's stages in order, in one directory, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from dunwu.analysis import results
from dunwu.analysis.results import EvaluationsBySet
from dunwu.config.packaged import called
from dunwu.config.schema import (
    ColdStartStage,
    DataSpec,
    EvalStage,
    PretrainStage,
    Recipe,
    RejectStage,
    RewardModelStage,
    RLStage,
    SamplingStage,
    Stage,
    SupervisedStage,
)
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.machine import describe_machine
from dunwu.monitoring.progress import Progress
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.interrupts import StopSignal
from dunwu.runs import Run


def run_recipe(recipe: Recipe, run: Run, stop: StopSignal, progress: Progress, *, file: Path | None = None) -> float:
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
    summary: dict[str, Any] = {"seed": recipe.seed, "seconds": round(seconds, 1), "results": {}}
    if found := results.find_last_evaluations(run):
        stage, by_set = found
        summary["results"] = held_out_results(by_set)
        if results.is_model_comparison(run, stage) and (tested := paired(run, by_set)):
            summary["paired"] = tested
    run.write_summary(summary)
    return seconds


def held_out_results(by_set: EvaluationsBySet) -> dict[str, dict[str, Any]]:
    """The evaluations of the run's last stage that has any: ``base`` and ``trained``, or an evaluation stage's models,
    on the first set, then ``base/SET`` and so on; each quantity as value, low, high (95 %)."""
    first = next(iter(by_set))
    return {
        _name(e.checkpoint, name, first): {quantity: asdict(estimate) for quantity, estimate in e.results.items()}
        for name, evaluations in by_set.items()
        for e in evaluations
        if not e.checkpoint.startswith("step-")
    }


def paired(run: Run, by_set: EvaluationsBySet) -> dict[str, dict[str, Any]]:
    """Compare each model with the first one, by the names of ``held_out_results``: right answers to the same problems,
    and the p of the paired test."""
    first = next(iter(by_set))
    return {
        _name(pair.model, pair.set, first): {
            "against": pair.against,
            "problems": pair.problems,
            **asdict(pair.difference),
            "p": pair.p,
        }
        for pair in results.read_paired_tests(run, by_set)
    }


def _name(model: str, set_name: str, first: str) -> str:
    return model if set_name == first else f"{model}/{set_name}"


def _run_stages(recipe: Recipe, recipe_path: Path | None, run: Run, stop: StopSignal, progress: Progress) -> None:
    progress.show_activity("loading PyTorch")
    with stop.interruptible():
        # Takes seconds: a directory that cannot be used is refused before, and a stop is heard during it.
        import_module("torch")

        from dunwu.execution.local import list_accelerators
        from dunwu.pipeline.decontamination import decontaminate
        from dunwu.pipeline.inputs import inputs_of

        import_module("dunwu.pipeline.stages.rl_system")  # what nearly every stage imports
    run.note("machine", describe_machine(list_accelerators()))

    def model(source: str) -> str:
        return str(run.reader(source).model) if source in recipe.stages else source

    made = [name for name, stage in recipe.stages.items() if isinstance(stage, SamplingStage)]
    data = recipe.data | {name: DataSpec(path=run.reader(name).data) for name in made}
    try:
        progress.show_activity("looking at the training texts")
        with stop.interruptible():
            left_out = decontaminate(recipe, run.directory, progress)
    except UserError as error:
        raise error if error.file else UserError(error.message, file=called(recipe_path), field=error.field) from error
    for number, (name, stage) in enumerate(recipe.stages.items(), start=1):
        progress.number_stage(number, len(recipe.stages))
        with _placed(recipe_path, name), stop.interruptible():
            inputs = inputs_of(stage, data, model, left_out)
        if name in run.stages:
            run.check_inputs(name, inputs)
        if run.stages.get(name) == "done":
            progress.log_message(f"{name}: done before")
            continue
        keep = 1 if isinstance(stage, EvalStage | SamplingStage) else stage.checkpoint.keep
        store = run.stage(name, keep=keep, writing=stop.writing)
        run.check_inputs(name, inputs)
        context = StageContext(
            name=name,
            seed=recipe.seed,
            store=store,
            executor=open_executor(stage.model, progress.log_message),
            stop=stop,
            progress=progress,
            recipe=recipe.name,
            left_out=left_out,
            note=run.note,
        )
        progress.show_activity(f"loading what {name} needs")
        with _placed(recipe_path, name):
            _run_stage(stage, context, data, model)
        progress.end_stage(name)


def _run_stage(stage: Stage, context: StageContext, data: Mapping[str, DataSpec], model: Callable[[str], str]) -> None:
    """Each kind in a module of its own, imported when it is wanted. ``model``: a source to what can be loaded."""
    match stage:
        case RLStage():
            from dunwu.pipeline.stages.rl import run_rl
            from dunwu.pipeline.stages.rl_system import VALUE

            scorers = {part.name: model(part.from_) for part in stage.reward.models}
            if stage.value:
                scorers[VALUE] = model(stage.value.from_ or stage.from_)
            run_rl(stage, context, model(stage.from_), scorers)
        case SupervisedStage():
            from dunwu.pipeline.stages.sft import run_sft

            run_sft(stage, context, model(stage.from_), data)
        case ColdStartStage():
            from dunwu.pipeline.stages.cold_start import run_cold_start

            run_cold_start(stage, context, model(stage.from_))
        case RejectStage():
            from dunwu.pipeline.stages.rejection_sampling import run_reject

            run_reject(stage, context, model(stage.from_))
        case RewardModelStage():
            from dunwu.pipeline.stages.reward_model import run_reward_model

            run_reward_model(stage, context, model(stage.from_), data)
        case EvalStage():
            from dunwu.pipeline.stages.evaluation import run_eval

            scorers = {judge.name: model(judge.from_) for judge in stage.judges}
            run_eval(stage, context, {name: model(source) for name, source in stage.named.items()}, scorers)
        case PretrainStage():
            from dunwu.pipeline.stages.pretraining import run_pretrain

            run_pretrain(stage, context)


@contextmanager
def _placed(recipe_path: Path | None, stage: str) -> Iterator[None]:
    """What a stage finds wrong with its recipe is told with the recipe's name and the stage's."""
    try:
        yield
    except UserError as error:
        if error.file is not None:
            raise
        field = ".".join(part for part in (f"stages.{stage}", error.field) if part)
        raise UserError(error.message, file=called(recipe_path), field=field) from error
