"""Many questions to a model, and the answers that are worth learning from: for rejection sampling and cold start."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace

from dunwu import tasks
from dunwu.config.schema import SamplingStage
from dunwu.errors import UserError
from dunwu.models.templates import Template
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.judges.prompting import run_concurrently
from dunwu.pipeline.stages.answer_filter import find_fault
from dunwu.pipeline.stages.grading import open_rule_grader
from dunwu.pipeline.stages.prompts import Encoder, build_encoder, draw_prompts
from dunwu.rollout.collect import collect
from dunwu.rollout.seeds import derive_seed
from dunwu.runs.generated_data import Counts, add_counts
from dunwu.tasks.mixture import Mixture
from dunwu.types import Completion, Example, GenerationRequest, Message, Problem, Prompt, ScoredGroup

REPEATS = 1000
"""Questions in a row that were there before, after which there are no others."""
KEPT, TOKENS = "kept", "tokens"

FinishAnswer = Callable[[Problem, str], tuple[str, str | None]]
"""An answer that is kept -> what is stored, and why it is not, where it is not."""
JudgeGroup = Callable[[ScoredGroup], ScoredGroup]
"""A graded group -> the group with a judge's verdicts."""


def keep_text(problem: Problem, text: str) -> tuple[str, str | None]:
    """Store an answer unchanged."""
    return text, None


def keep_scores(group: ScoredGroup) -> ScoredGroup:
    """Leave it at what the rules said."""
    return group


def sample_answers(
    stage: SamplingStage,
    context: StageContext,
    source: str,
    finish: FinishAnswer = keep_text,
    judge: JudgeGroup = keep_scores,
    concurrency: int = 1,
) -> None:
    """Sample answers of a model, and store those that are worth learning from as the stage's chunks.

    Args:
        stage: the recipe's.
        context: the run's.
        source: the model.
        finish: makes of an answer what is stored.
        judge: may change what the rules said of the answers.
        concurrency: questions for which ``finish`` and ``judge`` are called at the same time.

    Raises:
        UserError: the model or a task cannot be used, or nothing was kept.
        Interrupted: a stop was asked for; chunks of questions that were done are saved.
        Fault: nothing could be graded, or the disk is full.
    """
    store, progress = context.store, context.progress
    progress.show_activity("loading the model")
    with context.stop.interruptible():
        executor = context.executor
        policy = executor.open_policy(source, longest=stage.longest_sequence, learns=False, generates=True)
        mixture = tasks.build_mixture(stage.tasks, context.seed, context.left_out)
        encoder = build_encoder(Template(stage.prompt, policy.tokenizer), stage.prompt, stage.grading, stage.tasks)
        # With the instruction: what is learnt from the answers is asked as they were.
        prompts = [
            replace(one, problem=encoder.instruct(one.problem))
            for one in draw_distinct_prompts(mixture, encoder, stage.questions)
        ]
        store.rewind(0)
        engine = executor.build_engine(policy, max_sequences=stage.max_sequences)
    ledger = CostLedger(store, policy.model)
    text = f"{stage.samples} answers of {source} to each of {stage.questions:,} questions"
    progress.start_stage(context.name, text, step=store.generated.count_chunks() * stage.chunk)
    with closing(engine), open_rule_grader(stage.grading, stage.tasks, progress, context.note) as grader:
        for chunk in range(store.generated.count_chunks(), -(-stage.questions // stage.chunk)):
            first, began = chunk * stage.chunk, time.perf_counter()
            requests = [
                make_request(stage, context, prompt, first + place)
                for place, prompt in enumerate(prompts[first : first + stage.chunk])
            ]
            with context.stop.interruptible():
                groups = collect(engine, requests, stage.sampling, grader.plain, progress.count_completions)
                seconds, began = time.perf_counter() - began, time.perf_counter()
                filtered = run_concurrently(
                    lambda group: filter_answers(stage, judge(group), finish), groups, concurrency
                )
                examples, counts = list[Example](), Counts()
                for found, more in filtered:
                    examples += found
                    add_counts(counts, more)
            ledger.record_generation("rollout", chunk + 1, seconds, groups)
            ledger.record_grading(chunk + 1, time.perf_counter() - began)
            store.generated.write_chunk(chunk, examples, counts)
            done = min(stage.questions, first + stage.chunk)
            answers = stage.samples * len(requests)
            progress.log_message(
                f"{done:>7,}/{stage.questions:,} questions, {len(examples):,} of {answers:,} answers kept"
            )
    counts = store.generated.join_chunks()
    for category, numbers in counts.items():
        progress.log_message(f"{category}: {describe_counts(numbers)}")
    if not any(numbers.get(KEPT) for numbers in counts.values()):
        raise UserError("no answer was right and readable, so there is nothing to learn from", field="from")


def draw_distinct_prompts(mixture: Mixture, encoder: Encoder, count: int) -> list[Prompt]:
    """Draw the first questions of a mixture, none twice.

    Args:
        mixture: the tasks.
        encoder: makes prompts of their problems.
        count: questions wanted.

    Raises:
        UserError: there are fewer.
    """
    found: dict[str, Prompt] = {}
    position = repeats = 0
    while len(found) < count:
        (prompt,), position = draw_prompts(mixture, encoder, position, 1)
        repeats = repeats + 1 if prompt.problem.id in found else 0
        found.setdefault(prompt.problem.id, prompt)
        if repeats == REPEATS:
            raise UserError(f"the tasks have {len(found)} different ones: ask for so many or fewer", field="questions")
    return list(found.values())


def make_request(stage: SamplingStage, context: StageContext, prompt: Prompt, place: int) -> GenerationRequest:
    """Ask for the samples of a question, with seeds that depend on its place alone.

    Args:
        stage: the recipe's.
        context: the stage's, whose seed and name make the seeds.
        prompt: the question.
        place: its place among all of the stage.
    """
    seeds = (derive_seed(context.seed, context.name, place, sample) for sample in range(stage.samples))
    return GenerationRequest(prompt=prompt, seeds=tuple(seeds))


def filter_answers(stage: SamplingStage, group: ScoredGroup, finish: FinishAnswer) -> tuple[list[Example], Counts]:
    """Choose what is kept of the answers to a question.

    Args:
        stage: the recipe's.
        group: the answers, graded.
        finish: makes of an answer what is stored.

    Returns:
        The conversations; and by category how many were kept, and how many went, each for its first reason.
    """
    problem, kept, taken = group.group.prompt.problem, dict[str, Completion](), set[str]()
    numbers = {"questions": 1.0, "answers": 0.0}
    for completion, score in zip(group.group.completions, group.scores, strict=True):
        why = find_fault(stage.grading, stage.answer_filter, problem, completion, score)
        if why is None:
            why = "same" if completion.text in taken else "spare" if len(kept) == stage.keep else None
        text = completion.text
        if why is None:
            taken.add(text)
            text, why = finish(problem, text)
            why = "same" if why is None and text in kept else why
        numbers["answers"] += 1
        numbers[why or KEPT] = numbers.get(why or KEPT, 0.0) + 1
        if why is None:
            kept[text] = completion
            numbers[TOKENS] = numbers.get(TOKENS, 0.0) + len(completion.token_ids)
    examples = []
    for place, text in enumerate(kept):
        messages = (*problem.messages, Message(role="assistant", content=text))
        name = f"{problem.id}-{place}"
        examples.append(Example(id=name, category=problem.task, language=problem.language, messages=messages))
    return examples, {problem.task: numbers}


def describe_counts(numbers: Mapping[str, float]) -> str:
    """Write a category's counts as the paper's table of its 800,000 samples has them (R1, table 5)."""
    kept = numbers.get(KEPT, 0.0)
    length = numbers.get(TOKENS, 0.0) / kept if kept else 0.0
    gone = {name: n for name, n in numbers.items() if name not in ("questions", "answers", KEPT, TOKENS)}
    text = f"{kept:,.0f} of {numbers['answers']:,.0f} answers kept, {length:,.1f} tokens on average"
    return text + (f"; gone: {', '.join(f'{n:,.0f} {name}' for name, n in gone.items())}" if gone else "")
