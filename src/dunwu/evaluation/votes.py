"""Majority votes over the samples of a problem: cons@m, averaged exactly over all subsets of m samples.

Dimensions: M = m + 1 counts of votes, 0 to m.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from scipy.linalg import toeplitz


def score_vote(answers: Sequence[str | None], correct: Sequence[bool]) -> float:
    """Score the majority vote of one problem's samples.

    Args:
        answers: What each sample votes for; None (no answer found) does not vote.
        correct: Which samples are correct.

    Returns:
        The share of correct samples among those of the winning answers. Tied winners have as many samples each and
        share the vote evenly. 0 where nobody votes.
    """
    votes = [(answer, right) for answer, right in zip(answers, correct, strict=True) if answer is not None]
    counts = Counter(answer for answer, _ in votes)
    most = max(counts.values(), default=0)
    winning = [right for answer, right in votes if counts[answer] == most]
    return sum(winning) / len(winning) if winning else 0.0


def average_vote(answers: Sequence[str | None], correct: Sequence[bool], m: int) -> float:
    """Average the majority vote of m of a problem's k samples over all C(k, m) subsets: cons@m, exactly.

    The counts of the answers alone decide who wins, and given its count an answer's samples are as often correct as all
    of them. So with q_a, the share of correct ones among the samples of answer a, the mean is E[sum of q_a over the
    winners / number of winners], which is added up by the count c of the winners, 1 to m. A subset of m is k
    independent flips of chance m/k, given that m came up, which keeps every number in [0, 1].

    Args:
        answers: What each of the k samples votes for; None does not vote.
        correct: Which samples are correct.
        m: How many vote, 1 to k.

    Returns:
        The mean score in [0, 1].

    Raises:
        ValueError: ``m`` is out of range.
    """
    k = len(answers)
    if not 1 <= m <= k:
        raise ValueError(f"cons@{m} needs 1 <= m <= {k} samples")
    sizes = Counter(answer for answer in answers if answer is not None)
    right = Counter(answer for answer, good in zip(answers, correct, strict=True) if good)
    total = 0.0
    for count in range(1, min(m, max(sizes.values(), default=0)) + 1):
        candidates = [(size, right[answer] / size) for answer, size in sizes.items() if size >= count]
        total += _score_of_count(candidates, k, m, count)
    return min(1.0, total / float(_chances(k, m, k)[m]))


def _score_of_count(candidates: Sequence[tuple[int, float]], k: int, m: int, count: int) -> float:
    """Return the share of the mean in which winners have ``count`` votes.

    Row s, column w of ``ways`` is the chance of s samples with w winners; of ``worth`` the same, times the sum of the
    winners' shares.

    Args:
        candidates: (samples, share of correct ones) of each answer that can have as many votes. All other samples may
            vote as they like.
        k: All samples.
        m: Those that vote.
        count: Votes of the winners.

    Returns:
        The expected score, times the chance that m samples come up.
    """
    ways = np.zeros((m + 1, min(len(candidates), m // count) + 1))
    ways[:, 0] = _chances(k - sum(size for size, _ in candidates), m, k)
    worth = np.zeros_like(ways)
    for size, share in candidates:
        chances_M = _chances(size, m, k)
        fewer = toeplitz(np.where(np.arange(m + 1) < count, chances_M, 0.0), np.zeros(m + 1))
        won, gained = fewer @ ways, fewer @ worth
        won[count:, 1:] += chances_M[count] * ways[:-count, :-1]
        gained[count:, 1:] += chances_M[count] * (worth + share * ways)[:-count, :-1]
        ways, worth = won, gained
    return float(np.sum(worth[m, 1:] / np.arange(1, worth.shape[1])))


@lru_cache(maxsize=4096)
def _chances(size: int, m: int, k: int) -> Float64[np.ndarray, " M"]:
    """Return the chances that 0, 1, ... m of ``size`` samples come up, each with chance m/k."""
    from scipy.stats import binom  # takes a second to import

    chances: np.ndarray = binom.pmf(np.arange(m + 1), size, m / k)
    return chances
