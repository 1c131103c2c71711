"""Generate and grade a rollout: each completion is graded in a thread while the engine decodes the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol

from dunwu.rollout.engine import Engine, Sample
from dunwu.types import Completion, GenerationRequest, Problem, RolloutGroup, Sampling, Score, ScoredGroup


class Grader(Protocol):
    """Grades completions, for ``workers`` threads at once."""

    @property
    def workers(self) -> int:
        """How many it can grade at the same time."""

    def score(self, problem: Problem, completion: Completion) -> Score:
        """Grade one completion; a verifier that fails says ``verifier_failed`` and does not raise."""

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """Add what a group's completions are worth compared with each other.

        Args:
            group: the completions of one prompt.
            scores: of each alone.
            update: of the policy, for rewards whose weights change.
        """


NOTHING = nullcontext()
Finished = Callable[[int, int], None]
"""Takes how many completions of how many are generated."""


def collect(
    engine: Engine,
    requests: Sequence[GenerationRequest],
    sampling: Sampling,
    grader: Grader,
    finished: Finished | None = None,
    *,
    update: int = 0,
    generating: AbstractContextManager[None] = NOTHING,
    waiting: AbstractContextManager[None] = NOTHING,
) -> list[ScoredGroup]:
    """Generate completions and grade them.

    An exception does not wait for what is being graded.

    Args:
        engine: who generates.
        requests: what is wanted.
        sampling: how completions are drawn.
        grader: who grades.
        finished: called after each completion with how many of how many there are.
        update: of the policy, for rewards whose weights change.
        generating: is open while completions are made.
        waiting: is open after that, while the last grades are waited for.

    Returns:
        The groups with their scores, in the order of the requests. Completions that the verifier failed on are among
        them, as the record of what happened: whoever computes with scores takes ``filters.keep_graded`` first.
    """
    completions: dict[Sample, Completion] = {}
    scores: dict[Sample, Future[Score]] = {}
    total = sum(len(request.seeds) for request in requests)
    pool = ThreadPoolExecutor(max_workers=grader.workers, thread_name_prefix="grader")
    try:
        with generating:
            for sample, completion in stream(engine, requests, sampling):
                problem = requests[sample.request].prompt.problem
                completions[sample] = completion
                scores[sample] = pool.submit(grader.score, problem, completion)
                if finished:
                    finished(len(completions), total)
        with waiting:
            result = []
            for own, group in group_completions(requests, completions):
                graded = [scores[sample].result() for sample in own]
                result.append(ScoredGroup(group=group, scores=grader.score_group(group, graded, update)))
            return result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def complete(
    engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling, finished: Finished | None = None
) -> list[RolloutGroup]:
    """Generate without grading.

    Args:
        engine: What generates.
        requests: Prompts with their seeds.
        sampling: How completions are drawn.
        finished: Called with how many of how many completions are generated.

    Returns:
        One group a request, in order.
    """
    completions: dict[Sample, Completion] = {}
    total = sum(len(request.seeds) for request in requests)
    for sample, completion in stream(engine, requests, sampling):
        completions[sample] = completion
        if finished:
            finished(len(completions), total)
    return [group for _, group in group_completions(requests, completions)]


def stream(
    engine: Engine, requests: Sequence[GenerationRequest], sampling: Sampling
) -> Iterator[tuple[Sample, Completion]]:
    """Yield completions as they are finished.

    Here alone a completion's text gets the think tag that its prompt opened, before anybody reads it.

    Args:
        engine: who generates.
        requests: what is wanted.
        sampling: how completions are drawn.
    """
    for sample, written in engine.generate(requests, sampling):
        opening = requests[sample.request].prompt.opening
        yield sample, replace(written, text=opening + written.text) if opening else written


def group_completions(
    requests: Sequence[GenerationRequest], completions: dict[Sample, Completion]
) -> Iterator[tuple[list[Sample], RolloutGroup]]:
    """Yield each request's samples, and the group of their completions."""
    for number, request in enumerate(requests):
        own = [Sample(number, index) for index in range(len(request.seeds))]
        yield own, RolloutGroup(prompt=request.prompt, completions=tuple(completions[sample] for sample in own))
