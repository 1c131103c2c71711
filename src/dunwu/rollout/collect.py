"""Generates and grades a rollout: groups are graded in threads while the engine decodes the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from dunwu.rollout.engine import Engine
from dunwu.types import Completion, GenerationRequest, Problem, RolloutGroup, Sampling, Score, ScoredGroup


class Grader(Protocol):
    """Grades completions, for ``workers`` threads at once."""

    @property
    def workers(self) -> int:
        """How many it can grade at the same time."""

    def score(self, problem: Problem, completion: Completion) -> Score:
        """The grade; a verifier that fails says ``verifier_failed`` and does not raise."""


Finished = Callable[[int, int], None]
"""Told how many completions of how many are generated."""


def collect(
    engine: Engine,
    requests: Sequence[GenerationRequest],
    sampling: Sampling,
    grader: Grader,
    finished: Finished | None = None,
) -> list[ScoredGroup]:
    """The groups with their scores, in the order of the requests.

    Completions that the verifier failed on are among them, as the record of what happened; whoever computes with scores
    takes ``algorithms.filters.graded`` first. An exception does not wait for what is being graded.
    """
    place = {id(request.prompt): index for index, request in enumerate(requests)}
    grades: dict[int, Future[ScoredGroup]] = {}
    total, done = sum(len(request.seeds) for request in requests), 0
    pool = ThreadPoolExecutor(max_workers=grader.workers, thread_name_prefix="grader")
    try:
        for group in engine.generate(requests, sampling):
            grades[place[id(group.prompt)]] = pool.submit(_grade, group, grader)
            done += len(group.completions)
            if finished:
                finished(done, total)
        return [grades[index].result() for index in range(len(requests))]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _grade(group: RolloutGroup, grader: Grader) -> ScoredGroup:
    scores = tuple(grader.score(group.prompt.problem, completion) for completion in group.completions)
    return ScoredGroup(group=group, scores=scores)
