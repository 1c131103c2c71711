"""The causal check of a run's reflection (``dunwu ablate``): its trained model, on problems that it never drew."""

from __future__ import annotations

import shlex
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from dunwu.config.schema import EvaluationSet, Recipe, RLStage
from dunwu.errors import Fault, UserError, counted
from dunwu.evaluation.ablation import ReflectionEffect, cut_chains, measure_reflection_effect
from dunwu.evaluation.evaluate import evaluate
from dunwu.execution.executor import open_executor
from dunwu.models.templates import Template
from dunwu.monitoring.progress import Monitor, Progress
from dunwu.pipeline.stages.grading import open_grader
from dunwu.pipeline.stages.prompts import build_encoder, encode_held_out
from dunwu.runs import ABLATION, RunReader
from dunwu.tasks.datasets.files import FileTask, find_source

PROBLEMS_PER_CHAIN = 4
"""Problems that are asked for each chain, at most: not every answer reflects."""


def ablate(directory: Path, stage_name: str | None, chains: int, samples: int, progress: Monitor) -> ReflectionEffect:
    """Measure what reflection does for a stage's trained model, and keep the result with the run.

    Answers to the problems of :func:`choose_problems` are cut before their first word of reflection, then continued
    without and with it.

    Args:
        directory: The run directory.
        stage_name: A finished stage of reinforcement learning; None: the first.
        chains: How many answers are cut, at most.
        samples: Continuations of each, without and with.
        progress: Shows how far it is; closed at the end.

    Returns:
        The share of right answers without and with reflection, and their difference.

    Raises:
        UserError: The folder holds no run; there is no such stage, or it is no finished stage of reinforcement
            learning; its file holds out no problem; no answer reflects.
    """
    run = RunReader(directory)
    name, stage = find_rl_stage(run, stage_name)
    wanted = chains * PROBLEMS_PER_CHAIN
    chosen = choose_problems(stage, wanted, progress)
    progress.show_activity("loading the model")
    executor = open_executor(stage.model, progress.log_message)
    model = str(run.stage(name).model)
    policy = executor.open_policy(model, longest=stage.longest_sequence, learns=False, generates=True)
    template = Template(stage.prompt, policy.tokenizer)
    instruct = build_encoder(template, stage.prompt, stage.reward, stage.inputs.every_task).instruct
    prompts = encode_held_out([chosen], run.seed, template, instruct)[chosen.name][:wanted]
    progress.start_stage(name, f"cut before the first word of reflection, {chosen.name}")
    with (
        closing(
            executor.build_engine(policy, max_sequences=stage.rollout.max_sequences, dtype=stage.rollout.dtype)
        ) as engine,
        open_grader(stage.reward, [chosen.task], progress) as grader,
    ):
        progress.start_evaluation("trained", chosen.name, len(prompts))
        answers = evaluate(
            engine,
            prompts,
            grader.plain,
            stage.evaluation_sampling,
            samples=1,
            seed=run.seed,
            set_name=chosen.name,
            finished=progress.count_completions,
        )
        found = cut_chains(answers, policy.tokenizer)[:chains]
        progress.start_evaluation("both arms", chosen.name, 2 * len(found) * samples)
        effect = measure_reflection_effect(
            engine,
            found,
            grader.plain,
            stage.evaluation_sampling,
            policy.tokenizer,
            samples=samples,
            seed=run.seed,
            finished=progress.count_completions,
        )
    progress.close()
    kept = run.stage(name).derived.read_record(ABLATION)
    if kept and kept["chains"] * kept["samples"] > effect.chains * effect.samples:
        progress.log_message(f"the larger check of {kept['chains']} x {kept['samples']} stays in the report")
        return effect
    try:
        run.stage(name).derived.write_record(ABLATION, {"set": chosen.name, **asdict(effect)})
        progress.log_message(f"kept beside the run: dunwu report {shlex.quote(str(directory))} shows it from now on")
    except Fault as error:
        progress.log_message(f"not kept beside the run, so the report will not show it: {error}")
    return effect


def choose_problems(stage: RLStage, wanted: int, progress: Progress, name: str | None = None) -> EvaluationSet:
    """Choose a stage's first evaluation set; where it has none, held-out problems of its first task.

    Args:
        stage: The recipe's.
        wanted: How many problems; of a file, at most those that there are.
        progress: Hears where a file has fewer.
        name: Of the set; None: the first.

    Raises:
        UserError: The file holds out no problem, or no set has that name.
    """
    if name is not None:
        sets = {one.name: one for one in stage.evaluation.sets}
        if name not in sets:
            raise UserError(f"no set of this stage is called {name!r:.60}; there are {', '.join(sets)}", field="--on")
        return sets[name]
    if stage.evaluation.sets:
        return stage.evaluation.sets[0]
    task = stage.tasks[0]
    if task.reads_file:
        known = FileTask(task, 0).held_out_size
        if not known:
            text = "holds out no problem of the training file, and the run was measured on no other: none to ask"
            raise UserError(text, file=str(find_source(task)), field="held_out")
        if known < wanted:
            progress.log_message(
                f"the file has {counted(known, 'held-out problem')}, fewer than {wanted:,}: all of them"
            )
            wanted = known
    return EvaluationSet(name="held-out", task=task, problems=wanted)


def find_rl_stage(run: RunReader, name: str | None) -> tuple[str, RLStage]:
    """Return the stage of that name, or the run's first finished one of reinforcement learning.

    Raises:
        UserError: There is no such stage, or it is not finished.
    """
    recipe = Recipe.model_validate(run.recipe)
    learning = {key: stage for key, stage in recipe.stages.items() if isinstance(stage, RLStage)}
    usable = [key for key in learning if run.stages.get(key) == "done"]
    wanted = name if name is not None else next(iter((*usable, *learning)), None)
    field = None if name is None else "--stage"
    if wanted is None:
        raise UserError("has no stage of reinforcement learning: there is no policy to look at", file=run.directory)
    if wanted not in learning:
        known = ", ".join(learning) or "none"
        text = f"{wanted!r:.60} is no stage of reinforcement learning of this run; there are: {known}"
        raise UserError(text, file=run.directory, field=field)
    if wanted not in usable:
        rows = run.stage(wanted).read_metrics() if wanted in run.stages else []
        place = f"step {rows[-1]['step']:,.0f} of {learning[wanted].steps:,}" if rows else "it has made no step yet"
        raise UserError(f"{wanted} is not finished ({place})", file=run.directory, field=field)
    return wanted, learning[wanted]
