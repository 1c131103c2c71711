"""Estimators over problems: n problems, k samples each. Intervals are 95 % and speak of new problems of the same kind.

Samples of one problem are not independent, so every interval is made from the n per-problem values alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy import stats

from dunwu.types import Estimate

CONFIDENCE = 0.95


def pass_at_k(right: int, drawn: int, k: int) -> float:
    """Probability that at least one of k samples of a problem is right, from ``drawn`` of which ``right`` are.

    1 - C(drawn-right, k) / C(drawn, k), unbiased (Chen et al. 2021, arXiv 2107.03374, equation 1). Raises ValueError
    where k is not in 1..drawn.
    """
    if not 1 <= k <= drawn:
        raise ValueError(f"pass@{k} needs 1 <= k <= {drawn} samples")
    return 1.0 - math.comb(drawn - right, k) / math.comb(drawn, k)


def vote(answers: Sequence[str | None], correct: Sequence[bool]) -> float:
    """Majority vote of one problem's samples: the share of right ones among the samples of the winning answers.

    ``None`` (no answer found) does not vote; tied winners share the vote evenly, having as many samples each; nobody
    voting is wrong (0).
    """
    votes = [(answer, right) for answer, right in zip(answers, correct, strict=True) if answer is not None]
    counts = Counter(answer for answer, _ in votes)
    most = max(counts.values(), default=0)
    winning = [right for answer, right in votes if counts[answer] == most]
    return sum(winning) / len(winning) if winning else 0.0


def proportion(values_N: Float64[np.ndarray, " N"], samples: int) -> Estimate:
    """Mean of per-problem values in [0, 1], each from ``samples`` flips at most, with a Wilson score interval.

    Per-problem means vary less than single coin flips, so the interval's n is the effective number of flips with the
    observed variance of the mean, p(1-p) / (s²/n) >= n (Korn & Graubard 1998); never above the flips that there were,
    however alike a few problems may be by chance. It stays honest at 0 and at 1, where a bootstrap would claim
    certainty. Raises ValueError on an empty array.
    """
    n = len(values_N)
    if n == 0:
        raise ValueError("no problems: nothing to estimate")
    p = float(values_N.mean())
    variance = float(values_N.var(ddof=1)) if n > 1 else 0.0
    flips = min(max(n, n * p * (1 - p) / variance), n * samples) if variance > 0 else n
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    centre = (p + z * z / (2 * flips)) / (1 + z * z / flips)
    half = z / (1 + z * z / flips) * math.sqrt(p * (1 - p) / flips + z * z / (4 * flips * flips))
    return Estimate(value=p, low=max(0.0, min(p, centre - half)), high=min(1.0, max(p, centre + half)))


def mean(values_N: Float64[np.ndarray, " N"]) -> Estimate:
    """Mean of a per-problem count with Student's t interval, which ends at 0. Raises ValueError on an empty array."""
    n = len(values_N)
    if n == 0:
        raise ValueError("no problems: nothing to estimate")
    centre = float(values_N.mean())
    if n == 1:
        return Estimate(value=centre, low=centre, high=centre)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * float(values_N.std(ddof=1)) / math.sqrt(n)
    return Estimate(value=centre, low=max(0.0, centre - half), high=centre + half)
