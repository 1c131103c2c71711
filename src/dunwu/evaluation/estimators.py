"""Estimators over problems: n problems, k samples each. Intervals are 95 % and speak of new problems of the same kind.

Samples of one problem are not independent, so every interval is made from the n per-problem values alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64
from scipy import stats

from dunwu.types import Estimate

CONFIDENCE = 0.95
DRAWS = 1000
BINS = 10


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
    return _wilson(p, flips)


def _wilson(p: float, flips: float) -> Estimate:
    """A share with the Wilson score interval of so many flips."""
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    centre = (p + z * z / (2 * flips)) / (1 + z * z / flips)
    half = z / (1 + z * z / flips) * math.sqrt(p * (1 - p) / flips + z * z / (4 * flips * flips))
    return Estimate(value=p, low=max(0.0, min(p, centre - half)), high=min(1.0, max(p, centre + half)))


def ranking(scores_N: Float64[np.ndarray, " N"], good_N: Bool[np.ndarray, " N"]) -> Estimate:
    """The probability that a good one scores higher than a bad one, ties counted half: the area under the ROC curve.

    By ranks (Mann and Whitney), with DeLong's variance (1988) in a Wilson interval: its n is the number of flips that
    have this variance, at least as many as there are of the rarer kind, which stays honest at 1. Raises ValueError
    where there are no good ones, or no bad ones.
    """
    good, bad = scores_N[good_N], scores_N[~good_N]
    if not (len(good) and len(bad)):
        raise ValueError("a ranking needs good ones and bad ones")
    ranks = stats.rankdata(np.concatenate([good, bad]))
    above_G = (ranks[: len(good)] - stats.rankdata(good)) / len(bad)  # of each good one the share of bad ones below it
    below_B = 1 - (ranks[len(good) :] - stats.rankdata(bad)) / len(good)
    p = float(above_G.mean())
    variance = sum(float(part.var(ddof=1)) / len(part) for part in (above_G, below_B) if len(part) > 1)
    rarer = min(len(good), len(bad))
    return _wilson(p, max(rarer, p * (1 - p) / variance) if variance > 0 else rarer)


def calibration_error(
    confidence_N: Float64[np.ndarray, " N"], right_N: Bool[np.ndarray, " N"], seed: int = 0
) -> Estimate:
    """The mean distance between confidence and accuracy over ``BINS`` equal bins of [1/2, 1], weighted by their size.

    Expected calibration error (Naeini et al. 2015); it is above 0 by chance alone where bins are small. The interval by
    ``DRAWS`` bootstrap draws, moved to where their mean is the value: they repeat texts, which alone makes the error of
    a draw larger. Raises ValueError on empty arrays.
    """
    if not len(confidence_N):
        raise ValueError("nothing to calibrate")
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(confidence_N), size=(DRAWS, len(confidence_N)))
    drawn = np.array([_distance(confidence_N[draw], right_N[draw]) for draw in draws])
    value = _distance(confidence_N, right_N)
    low, high = value - drawn.mean() + np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=max(0.0, min(value, float(low))), high=max(value, float(high)))


def _distance(confidence: Float64[np.ndarray, " N"], right: Bool[np.ndarray, " N"]) -> float:
    bins = np.minimum(((confidence - 0.5) * 2 * BINS).astype(int), BINS - 1)
    gap = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(gap).sum() / len(confidence))
