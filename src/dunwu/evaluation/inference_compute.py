"""Test-time compute: what longer thinking and more votes are worth.

R1 (arXiv 2501.12948v2) reports 61.8 % at 8,793 mean thinking tokens on 366 contest problems.

Dimensions: A attempts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dunwu.evaluation.estimators import bootstrap_mean
from dunwu.evaluation.votes import average_vote
from dunwu.types import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One sample of one problem.

    Attributes:
        problem: The problem's name.
        thinking: Tokens of the reasoning.
        answer: What it votes for; None where no answer was found.
        right: Whether the answer is right.
    """

    problem: str
    thinking: int
    answer: str | None
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingBin:
    """The attempts whose reasoning has ``lowest`` to ``highest`` tokens, both included.

    Attributes:
        lowest: Fewest tokens.
        highest: Most tokens.
        thinking: Their mean.
        attempts: How many there are.
        problems: How many problems they are of.
        accuracy: The mean over these problems of the share of right ones among each one's attempts in the bin.
    """

    lowest: int
    highest: int
    thinking: float
    attempts: int
    problems: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteAccuracy:
    """The accuracy of a majority vote of ``m`` attempts."""

    m: int
    accuracy: Estimate


def bin_by_thinking(attempts: Sequence[Attempt], bins: int = 10, seed: int = 0) -> list[ThinkingBin]:
    """Estimate accuracy against thinking tokens, in bins of about as many attempts each.

    Attempts of the same length stay together, so there are fewer bins where many are equal. Harder problems are thought
    about longer, so a falling curve does not say that thinking harms.

    Args:
        attempts: Of all problems.
        bins: How many there are at most.
        seed: Of the bootstrap over the problems of a bin.

    Returns:
        The bins, shortest reasoning first.

    Raises:
        ValueError: There are no attempts.
    """
    if not attempts:
        raise ValueError("no attempts: nothing to estimate")
    thinking_A = np.array([attempt.thinking for attempt in attempts])
    edges = np.quantile(thinking_A, np.arange(1, bins) / bins, method="lower")
    bin_A = np.searchsorted(edges, thinking_A)
    members: list[list[Attempt]] = [[] for _ in range(len(edges) + 1)]
    for attempt, number in zip(attempts, bin_A, strict=True):
        members[number].append(attempt)
    return [_make_bin(found, seed) for found in members if found]


def _make_bin(attempts: Sequence[Attempt], seed: int) -> ThinkingBin:
    thinking = [attempt.thinking for attempt in attempts]
    shares = _average_by_problem(attempts, lambda attempt: attempt.right)
    return ThinkingBin(
        lowest=min(thinking),
        highest=max(thinking),
        thinking=float(np.mean(thinking)),
        attempts=len(attempts),
        problems=len(shares),
        accuracy=bootstrap_mean(np.array(shares), "share", seed),
    )


def estimate_vote_accuracies(attempts: Sequence[Attempt], seed: int = 0) -> list[VoteAccuracy]:
    """Estimate cons@m for m = 1, 2, 4, ... and k, the fewest attempts that a problem has.

    Args:
        attempts: Of all problems.
        seed: Of the bootstrap over problems.

    Returns:
        One accuracy for each m, ascending: the exact mean over all votes of m of a problem's attempts.

    Raises:
        ValueError: There are no attempts.
    """
    if not attempts:
        raise ValueError("no attempts: nothing to estimate")
    problems = _group_by_problem(attempts)
    k = min(map(len, problems))
    counts = sorted({2**power for power in range(k.bit_length())} | {k})
    votes = [([one.answer for one in problem], [one.right for one in problem]) for problem in problems]
    return [
        VoteAccuracy(m=m, accuracy=bootstrap_mean(np.array([average_vote(*one, m) for one in votes]), "share", seed))
        for m in counts
    ]


def _group_by_problem(attempts: Sequence[Attempt]) -> list[list[Attempt]]:
    problems: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        problems[attempt.problem].append(attempt)
    return list(problems.values())


def _average_by_problem(attempts: Sequence[Attempt], measure: Callable[[Attempt], float]) -> list[float]:
    """Average a measure over each problem's attempts."""
    return [float(np.mean([measure(attempt) for attempt in problem])) for problem in _group_by_problem(attempts)]
