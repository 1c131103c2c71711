"""Evaluation as a stage: several models on the same held-out problems, on common random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dunwu.config.schema import EvalStage, EvaluationSet, PromptSpec, is_server, served
from dunwu.evaluation import model_comparison
from dunwu.evaluation.details import compute_details
from dunwu.models.load import load_tokenizer
from dunwu.models.templates import Template
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import Ledger
from dunwu.pipeline.judges.benchmark_judges import SAFE, Referee, win_rates
from dunwu.pipeline.judges.reward_judge import RewardModel
from dunwu.pipeline.stages.measurement import examine
from dunwu.pipeline.stages.prompts import Instructing, held_out_prompts, instructing, instruction, tasks_of
from dunwu.pipeline.stages.rl_system import judge, plain_grading
from dunwu.rollout.engine import Engine
from dunwu.rollout.remote.answer_cache import CachingEngine
from dunwu.rollout.remote.engine import EndpointEngine
from dunwu.runs import Curve
from dunwu.runs.answer_log import AnswerFile
from dunwu.types import Estimate, Problem, Prompt, ScoredGroup
from dunwu.verifiers import Judge

ANY_LENGTH = 2**40
Prompts = Mapping[str, Sequence[Prompt]]
"""By set."""


def run_eval(stage: EvalStage, context: StageContext, sources: Mapping[str, str], scorers: Mapping[str, str]) -> None:
    """Measures every model on every set; what was measured before a stop is not measured again.

    Args:
        stage: the recipe's.
        context: the run's.
        sources: the folder, hub id or server of each model, by the name under which it is told.
        scorers: where the judges lie, by their names.

    Raises:
        UserError: a model, a set or a judge cannot be used.
        Interrupted: a stop was asked for; sets that were done are saved.
        Fault: nothing could be graded, a server gives no answer, or the disk is full.
    """
    sets = ", ".join(chosen.name for chosen in stage.sets)
    context.progress.start_stage(context.name, f"{', '.join(sources)} on {sets}")
    context.progress.show_activity("loading tokenizers and problems")
    with context.stop.interruptible():
        judging = _Judging(stage, context, scorers)
        # Of all models before any is measured: prompts must fit whatever the tokenizer, and servers must be there.
        tokenizers = {name: None if is_server(source) else load_tokenizer(source) for name, source in sources.items()}
        prompts = {name: _prompts(stage, context, name, tokenizer) for name, tokenizer in tokenizers.items()}
        for source in filter(is_server, sources.values()):
            _remote(stage, context, source).reach()
    with plain_grading(stage.grading, [chosen.task for chosen in stage.sets], context, stage.custom) as grader:
        for name, source in sources.items():
            if len(context.store.read_evaluations(name, rows=False)) == len(stage.sets):
                continue
            context.progress.show_activity(f"loading {name}")
            with context.stop.interruptible(), _engine(stage, context, source) as (engine, model):
                for chosen in stage.sets:
                    answers = AnswerFile(context.store.path, name, chosen.name)
                    examine(
                        context,
                        CachingEngine(engine, answers) if isinstance(engine, EndpointEngine) else engine,
                        grader,
                        stage.sampling,
                        Ledger(context.store, model),
                        checkpoint=name,
                        set_name=chosen.name,
                        prompts=prompts[name][chosen.name],
                        samples=chosen.samples,
                        own=[function.name for function in stage.custom],
                        judges=judging.of(chosen),
                        more=partial(judging.results, chosen),
                    )
                    answers.drop()
                    if isinstance(engine, EndpointEngine):
                        _keep_server(context, name, engine)
    context.progress.show_activity("comparing the models")
    with context.stop.interruptible():
        _compare(context, prompts, tokenizers)
    context.store.finish()


class _Judging:
    """Who says what rules do not, of each set."""

    def __init__(self, stage: EvalStage, context: StageContext, scorers: Mapping[str, str]) -> None:
        self._judges = {spec.name: judge(spec, scorers[spec.name], stage, context) for spec in stage.judges}
        self._referee = Referee(stage.benchmark_judge) if stage.benchmark_judge else None

    def of(self, chosen: EvaluationSet) -> dict[str, Judge]:
        """Whose word becomes a part of every score."""
        found: dict[str, Judge] = {name: self._judges[name] for name in chosen.judges}
        if self._referee and chosen.task.task == "safety":
            found = {SAFE: self._referee.safe, **found}
        return found

    def results(self, chosen: EvaluationSet, groups: Sequence[ScoredGroup]) -> Mapping[str, Estimate]:
        """What a set says beside what all sets do."""
        judges = self.of(chosen)
        first: RewardModel | Referee | None = self._referee or next((self._judges[one] for one in chosen.judges), None)
        compared = win_rates(groups, chosen.task, first) if first else {}
        return {**compute_details(groups, chosen.task, next(iter(judges), None)), **compared}


@contextmanager
def _engine(stage: EvalStage, context: StageContext, source: str) -> Iterator[tuple[Engine, Any | None]]:
    """What generates, and the model of transformers in it, where it is in this process."""
    if is_server(source):
        yield _remote(stage, context, source), None
        return
    executor = context.executor
    policy = executor.open_policy(source, longest=stage.longest_sequence, learns=False, generates=True)
    with closing(executor.build_engine(policy, max_sequences=stage.max_sequences)) as engine:
        yield engine, policy.model


def _remote(stage: EvalStage, context: StageContext, source: str) -> EndpointEngine:
    return context.executor.connect_engine(served(source, stage.server))


def _keep_server(context: StageContext, name: str, engine: EndpointEngine) -> None:
    """Stores how a server was asked. Nothing where it was not: all was answered before a stop."""
    if engine.record is not None and engine.record != context.store.read_servers().get(name):
        context.store.write_server(name, engine.record)


class _Untold:
    """A server tokenizes by itself."""

    def encode(self, problem: Problem) -> Prompt:
        """The problem alone."""
        return Prompt(problem=problem, token_ids=np.zeros(0, np.int32))


class _Cut:
    """A template that cuts off the beginnings of prompts that are too long, and counts these."""

    def __init__(self, spec: PromptSpec, tokenizer: Any) -> None:
        self._template = Template(spec.model_copy(update={"max_tokens": ANY_LENGTH}), tokenizer)
        self._most, self.cut = spec.max_tokens, 0

    def encode(self, problem: Problem) -> Prompt:
        """The prompt, or its end."""
        prompt = self._template.encode(problem)
        self.cut += len(prompt.token_ids) > self._most
        return replace(prompt, token_ids=prompt.token_ids[-self._most :])


def _prompts(stage: EvalStage, context: StageContext, name: str, tokenizer: Any | None) -> Prompts:
    cutting = _Cut(stage.prompt, tokenizer) if tokenizer is not None and stage.long_prompts == "cut" else None
    if tokenizer is None:  # a server asks by a chat template too
        asking = Instructing(_Untold(), instruction(stage.grading), tasks_of(stage))
    else:
        asking = instructing(Template(stage.prompt, tokenizer), stage.prompt, stage.grading, tasks_of(stage))
    template = cutting or asking.encoder
    prompts = held_out_prompts(stage.sets, context.seed, template, asking.instruct)
    if cutting and cutting.cut:
        total = sum(map(len, prompts.values()))
        told = f"{cutting.cut:,} of {total:,} prompts have more than {stage.prompt.max_tokens:,} tokens"
        context.progress.log_message(f"{name}: {told}, and lose their beginnings")
    return prompts


def _compare(context: StageContext, prompts: Mapping[str, Prompts], tokenizers: Mapping[str, Any | None]) -> None:
    """Reads back what is stored, so that it does not matter which process measured it."""
    evaluations = [found for name in prompts for found in context.store.read_evaluations(name)]
    curves = list[Curve]()
    for found in evaluations:
        problems = {prompt.problem.id: prompt.problem for prompt in prompts[found.checkpoint][found.set]}
        tokenizer = tokenizers[found.checkpoint]
        encode = None if tokenizer is None else partial(tokenizer.encode, add_special_tokens=False, verbose=False)
        count = model_comparison.count_by_tokenizer(encode) if encode else model_comparison.estimate_by_length
        curves += model_comparison.compute_curves(found, problems, count)
    context.store.write_compared(list(model_comparison.compare_models(evaluations, list(prompts))), curves)
