"""Test-time compute: what more thinking and more votes are worth (R1, arXiv 2501.12948v2: 61.8 % at 8,793 mean thinking
tokens on 366 contest problems, under 7,000 for easy ones and over 18,000 for the hardest).

Dimensions: A attempts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dunwu.evaluation.estimators import bootstrap, expected_vote
from dunwu.metrics import mean
from dunwu.types import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One sample of one problem. ``thinking`` is the length of its reasoning in tokens; ``answer`` what votes for it,
    None where none was found."""

    problem: str
    level: int
    thinking: int
    answer: str | None
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The attempts that thought ``lowest`` to ``highest`` tokens, both included; ``thinking`` is their mean.

    ``accuracy`` is the mean over the bin's ``problems`` of the share of right ones among each one's attempts in it.
    """

    lowest: int
    highest: int
    thinking: float
    attempts: int
    problems: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """The accuracy of a majority vote of ``m`` attempts."""

    m: int
    accuracy: Estimate


def by_thinking(attempts: Sequence[Attempt], bins: int = 10, seed: int = 0) -> list[Bin]:
    """Accuracy against thinking tokens, in bins of about as many attempts each, the shortest thoughts first.

    Attempts of the same length stay together, so there are fewer bins where many are alike. Intervals by bootstrap over
    the problems of a bin. Harder problems are thought about longer, so a falling curve does not say that thinking
    harms. Raises ValueError where there are no attempts.
    """
    if not attempts:
        raise ValueError("no attempts: nothing to estimate")
    thinking_A = np.array([attempt.thinking for attempt in attempts])
    edges = np.quantile(thinking_A, np.arange(1, bins) / bins, method="lower")
    bin_A = np.searchsorted(edges, thinking_A)
    members: list[list[Attempt]] = [[] for _ in range(len(edges) + 1)]
    for attempt, number in zip(attempts, bin_A, strict=True):
        members[number].append(attempt)
    return [_bin(found, seed) for found in members if found]


def _bin(attempts: Sequence[Attempt], seed: int) -> Bin:
    thinking = [attempt.thinking for attempt in attempts]
    shares = _per_problem(attempts, lambda attempt: attempt.right)
    return Bin(
        lowest=min(thinking),
        highest=max(thinking),
        thinking=float(np.mean(thinking)),
        attempts=len(attempts),
        problems=len(shares),
        accuracy=bootstrap(np.array(shares), "share", seed),
    )


def by_level(attempts: Sequence[Attempt]) -> dict[int, Estimate]:
    """Mean thinking tokens by level, the lowest first: mean over its problems of each one's mean, with Student's
    interval over problems."""
    levels: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        levels[attempt.level].append(attempt)
    return {
        level: mean(_per_problem(levels[level], lambda attempt: attempt.thinking), lowest=0.0)
        for level in sorted(levels)
    }


def by_votes(attempts: Sequence[Attempt], seed: int = 0) -> list[Votes]:
    """cons@m for m = 1, 2, 4, ... and k, the fewest attempts that a problem has, each the exact mean over all votes of
    m of a problem's attempts. Intervals by bootstrap over problems. Raises ValueError where there are no attempts."""
    if not attempts:
        raise ValueError("no attempts: nothing to estimate")
    problems = _problems(attempts)
    k = min(map(len, problems))
    counts = sorted({2**power for power in range(k.bit_length())} | {k})
    cast = [([one.answer for one in problem], [one.right for one in problem]) for problem in problems]
    return [
        Votes(m=m, accuracy=bootstrap(np.array([expected_vote(*votes, m) for votes in cast]), "share", seed))
        for m in counts
    ]


def _problems(attempts: Sequence[Attempt]) -> list[list[Attempt]]:
    """The attempts of each problem."""
    problems: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        problems[attempt.problem].append(attempt)
    return list(problems.values())


def _per_problem(attempts: Sequence[Attempt], measure: Callable[[Attempt], float]) -> list[float]:
    """The mean over each problem's attempts."""
    return [float(np.mean([measure(attempt) for attempt in problem])) for problem in _problems(attempts)]
