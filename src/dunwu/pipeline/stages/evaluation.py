"""Evaluation as a stage: several models on the same held-out problems, on common random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from dunwu.config.schema import EvalStage, EvaluationSet, PromptSpec, is_server, parse_server
from dunwu.evaluation import model_comparison
from dunwu.evaluation.details import compute_details
from dunwu.models.load import load_tokenizer
from dunwu.models.templates import Template
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.judges.benchmark_judges import SAFE, BenchmarkJudge, compute_win_rates
from dunwu.pipeline.judges.reward_model import RewardModel, open_reward_model
from dunwu.pipeline.stages.grading import open_rule_grader
from dunwu.pipeline.stages.measurement import measure_set, measure_text
from dunwu.pipeline.stages.prompts import (
    InstructingEncoder,
    build_encoder,
    encode_held_out,
    encode_texts,
    write_instruction,
)
from dunwu.rollout.engine import Engine
from dunwu.rollout.remote.answer_cache import CachingEngine
from dunwu.rollout.remote.engine import EndpointEngine
from dunwu.runs import AccuracyCurve, Comparison, read_server_records, write_comparison, write_server_record
from dunwu.runs.answer_log import AnswerLog
from dunwu.training.text_logprobs import WINDOW, compute_text_logprobs
from dunwu.types import Estimate, Problem, Prompt, ScoredGroup
from dunwu.verifiers import Judge

ANY_LENGTH = 2**40
Prompts = Mapping[str, Sequence[Prompt]]
"""By set."""


def run_eval(stage: EvalStage, context: StageContext, sources: Mapping[str, str], scorers: Mapping[str, str]) -> None:
    """Measure every model on every set; what was measured before a stop is not measured again.

    Args:
        stage: the recipe's.
        context: the run's.
        sources: the folder, hub id or server of each model, by the name that results give it.
        scorers: where the judges lie, by their names.

    Raises:
        UserError: a model, a set or a judge cannot be used.
        Interrupted: a stop was asked for; sets that were done are saved.
        Fault: nothing could be graded, a server gives no answer, or the disk is full.
    """
    names = [*(chosen.name for chosen in stage.sets), *(chosen.name for chosen in stage.texts)]
    sets = ", ".join(names)
    context.progress.start_stage(context.name, f"{', '.join(sources)} on {sets}")
    context.progress.show_activity("loading tokenizers and problems")
    with context.stop.interruptible():
        judges = _Judges(stage, context, scorers)
        # Of all models before any is measured: prompts must fit whatever the tokenizer, and servers must be there.
        tokenizers = {name: None if is_server(source) else load_tokenizer(source) for name, source in sources.items()}
        prompts = {name: _encode_sets(stage, context, name, tokenizer) for name, tokenizer in tokenizers.items()}
        texts = {name: encode_texts(stage.inputs.texts, tokenizer) for name, tokenizer in tokenizers.items()}
        for source in filter(is_server, sources.values()):
            _connect(stage, context, source).reach()
    tasks = [chosen.task for chosen in stage.sets]
    with open_rule_grader(stage.grading, tasks, context.progress, context.note, stage.custom) as grader:
        for name, source in sources.items():
            if len(context.store.read_evaluations(name, rows=False)) == len(names):
                continue
            context.progress.show_activity(f"loading {name}")
            with context.stop.interruptible(), _open_engine(stage, context, source) as (engine, model):
                for chosen in stage.sets:
                    answers = AnswerLog(context.store.path, name, chosen.name)
                    measure_set(
                        context,
                        CachingEngine(engine, answers) if isinstance(engine, EndpointEngine) else engine,
                        grader,
                        stage.sampling,
                        CostLedger(context.store, model),
                        checkpoint=name,
                        set_name=chosen.name,
                        prompts=prompts[name][chosen.name],
                        samples=chosen.samples,
                        own=[function.name for function in stage.custom],
                        judges=judges.for_set(chosen),
                        further=partial(judges.find_results, chosen),
                    )
                    answers.remove()
                    if isinstance(engine, EndpointEngine):
                        _record_server(context, name, engine)
                for text, passages in texts[name].items():
                    score = partial(compute_text_logprobs, model, tokens=WINDOW)
                    ledger = CostLedger(context.store, model)
                    measure_text(context, score, ledger, checkpoint=name, set_name=text, passages=passages)
    context.progress.show_activity("comparing the models")
    with context.stop.interruptible():
        _compare_models(context, prompts, tokenizers)
    context.store.finish()


class _Judges:
    """Says of each set what rules do not."""

    def __init__(self, stage: EvalStage, context: StageContext, scorers: Mapping[str, str]) -> None:
        self._reward_models = {
            spec.name: open_reward_model(spec, scorers[spec.name], stage.longest_sequence, context.executor)
            for spec in stage.judges
        }
        self._benchmark_judge = BenchmarkJudge(stage.benchmark_judge) if stage.benchmark_judge else None

    def for_set(self, chosen: EvaluationSet) -> dict[str, Judge]:
        """Return the judges whose word becomes a part of every score, by the names of the parts."""
        found: dict[str, Judge] = {name: self._reward_models[name] for name in chosen.judges}
        if self._benchmark_judge and chosen.task.task == "safety":
            found = {SAFE: self._benchmark_judge.judge_safety, **found}
        return found

    def find_results(self, chosen: EvaluationSet, groups: Sequence[ScoredGroup]) -> Mapping[str, Estimate]:
        """Compute what a set says beside what all sets do."""
        models = (self._reward_models[name] for name in chosen.judges)
        judge: RewardModel | BenchmarkJudge | None = self._benchmark_judge or next(models, None)
        rates = compute_win_rates(groups, chosen.task, judge) if judge else {}
        return {**compute_details(groups, chosen.task, next(iter(self.for_set(chosen)), None)), **rates}


@contextmanager
def _open_engine(stage: EvalStage, context: StageContext, source: str) -> Iterator[tuple[Engine, Any | None]]:
    """Open what generates, and the model of transformers in it, where it is in this process."""
    if is_server(source):
        yield _connect(stage, context, source), None
        return
    executor = context.executor
    policy = executor.open_policy(source, longest=stage.longest_sequence, learns=False, generates=True)
    with closing(executor.build_engine(policy, max_sequences=stage.max_sequences)) as engine:
        yield engine, policy.model


def _connect(stage: EvalStage, context: StageContext, source: str) -> EndpointEngine:
    return context.executor.connect_engine(parse_server(source, stage.server))


def _record_server(context: StageContext, name: str, engine: EndpointEngine) -> None:
    """Store how a server was asked; nothing where it was not, because all was answered before a stop."""
    if engine.record is not None and engine.record != read_server_records(context.store.path).get(name):
        write_server_record(context.store.path, name, engine.record)


class _ServerEncoder:
    """Leaves tokenizing to a server."""

    def encode(self, problem: Problem) -> Prompt:
        """Make a prompt of the problem alone."""
        return Prompt(problem=problem, token_ids=np.zeros(0, np.int32))


class _CuttingEncoder:
    """A template that cuts off the beginnings of prompts that are too long, and counts these."""

    def __init__(self, spec: PromptSpec, tokenizer: Any) -> None:
        self._template = Template(spec.model_copy(update={"max_tokens": ANY_LENGTH}), tokenizer)
        self._most, self.cut = spec.max_tokens, 0

    def encode(self, problem: Problem) -> Prompt:
        """Make the prompt, or its end."""
        prompt = self._template.encode(problem)
        self.cut += len(prompt.token_ids) > self._most
        return replace(prompt, token_ids=prompt.token_ids[-self._most :])


def _encode_sets(stage: EvalStage, context: StageContext, name: str, tokenizer: Any | None) -> Prompts:
    cutting = (
        _CuttingEncoder(stage.prompt, tokenizer) if tokenizer is not None and stage.long_prompts == "cut" else None
    )
    if tokenizer is None:  # a server asks by a chat template too
        instructing = InstructingEncoder(_ServerEncoder(), write_instruction(stage.grading), stage.inputs.every_task)
    else:
        instructing = build_encoder(
            Template(stage.prompt, tokenizer), stage.prompt, stage.grading, stage.inputs.every_task
        )
    encoder = cutting or instructing.encoder
    prompts = encode_held_out(stage.sets, context.seed, encoder, instructing.instruct)
    if cutting and cutting.cut:
        total = sum(map(len, prompts.values()))
        count = f"{cutting.cut:,} of {total:,} prompts have more than {stage.prompt.max_tokens:,} tokens"
        context.progress.log_message(f"{name}: {count}, and lose their beginnings")
    return prompts


def _compare_models(
    context: StageContext, prompts: Mapping[str, Prompts], tokenizers: Mapping[str, Any | None]
) -> None:
    """Read back what is stored, so that it does not matter which process measured it."""
    evaluations = [
        found for name in prompts for found in context.store.read_evaluations(name) if found.set in prompts[name]
    ]
    curves = list[AccuracyCurve]()
    for found in evaluations:
        problems = {prompt.problem.id: prompt.problem for prompt in prompts[found.checkpoint][found.set]}
        tokenizer = tokenizers[found.checkpoint]
        encode = None if tokenizer is None else partial(tokenizer.encode, add_special_tokens=False, verbose=False)
        count = model_comparison.count_by_tokenizer(encode) if encode else model_comparison.estimate_by_length
        curves += model_comparison.compute_curves(found, problems, count)
    pairs = tuple(model_comparison.compare_models(evaluations, list(prompts)))
    write_comparison(context.store.path, Comparison(pairs=pairs, curves=tuple(curves)))
