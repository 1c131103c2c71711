"""Estimators over problems: n problems, k samples each. Intervals are 95 % and speak of new problems of the same kind.

Samples of one problem are not independent, so every interval is made from the n per-problem values alone.

Dimensions: N problems, M votes, D bootstrap draws, U different values, S subsets or flips.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy import stats
from scipy.linalg import toeplitz

from dunwu.types import Estimate

CONFIDENCE = 0.95
DRAWS = 1000
"""Bootstrap draws where each of them costs a fit or a sort."""
BINS = 10
MEAN_DRAWS = 10_000
"""Bootstrap draws of a mean."""
FLIPS = 100_000
"""Random sign flips of a paired test."""
ENUMERATED = 16
"""Problems that differ at most for all 2^n sign flips to be counted."""
CELLS = 2_000_000
"""Numbers drawn at a time (16 MB)."""

Kind = Literal["share", "difference", "amount"]
"""What a problem's value is: a share in [0, 1], a difference of two shares in [-1, 1], or any number."""
RANGES = {"share": (0.0, 1.0), "difference": (-1.0, 1.0), "amount": (-math.inf, math.inf)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """What changed on the same problems: ``difference`` (after - before) of their means, and the two-sided ``p`` of a
    change this large where before and after could be swapped in every problem."""

    difference: Estimate
    p: float


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


def expected_vote(answers: Sequence[str | None], correct: Sequence[bool], m: int) -> float:
    """cons@m: ``vote`` of m of the k samples, drawn without replacement, on average over all C(k, m) subsets. Exact.

    Only the counts of the answers decide who wins, and given its count an answer's samples are as often right as all of
    them. So with q_a = share of right ones among answer a's samples the mean is E[sum over winners of q_a / winners],
    which is added up by the winners' count c, 1 to m. A subset of m is k independent flips with chance m/k given that m
    came up, which keeps every number in [0, 1]. Raises ValueError where m is not in 1..k.
    """
    k = len(answers)
    if not 1 <= m <= k:
        raise ValueError(f"cons@{m} needs 1 <= m <= {k} samples")
    sizes = Counter(answer for answer in answers if answer is not None)
    right = Counter(answer for answer, good in zip(answers, correct, strict=True) if good)
    total = 0.0
    for count in range(1, min(m, max(sizes.values(), default=0)) + 1):
        able = [(size, right[answer] / size) for answer, size in sizes.items() if size >= count]
        total += _won_with(able, k, m, count)
    return min(1.0, total / float(_drawn(k, m, k)[m]))


def _won_with(able: Sequence[tuple[int, float]], k: int, m: int, count: int) -> float:
    """The part of ``expected_vote`` where winners have ``count`` votes. ``able``: size and share of right ones of every
    answer that can have as many; all other samples may be drawn as they like.

    Row s, column w of ``ways``: the chance of s drawn with w winners; of ``worth``: times the sum of their shares.
    """
    ways = np.zeros((m + 1, min(len(able), m // count) + 1))
    ways[:, 0] = _drawn(k - sum(size for size, _ in able), m, k)
    worth = np.zeros_like(ways)
    for size, share in able:
        drawn_M = _drawn(size, m, k)
        fewer = toeplitz(np.where(np.arange(m + 1) < count, drawn_M, 0.0), np.zeros(m + 1))
        won, gained = fewer @ ways, fewer @ worth
        won[count:, 1:] += drawn_M[count] * ways[:-count, :-1]
        gained[count:, 1:] += drawn_M[count] * (worth + share * ways)[:-count, :-1]
        ways, worth = won, gained
    return float(np.sum(worth[m, 1:] / np.arange(1, worth.shape[1])))


@lru_cache(maxsize=4096)
def _drawn(size: int, m: int, k: int) -> Float64[np.ndarray, " M"]:
    """The chances that 0..m of ``size`` samples are drawn, each with m/k."""
    chances: np.ndarray = stats.binom.pmf(np.arange(m + 1), size, m / k)
    return chances


def bootstrap(values_N: Float64[np.ndarray, " N"], kind: Kind, seed: int = 0) -> Estimate:
    """Mean of per-problem values with the percentile interval of ``MEAN_DRAWS`` resamples of the problems.

    Where all n values are alike resampling would claim certainty. There ``unseen(n)`` of all problems may have any
    value in the kind's range; at 0 and at 1 this is the Wilson interval of n flips. An amount has no range, so its
    interval is the value alone. Raises ValueError on an empty array, and on values outside the kind's range.
    """
    n, (lowest, highest) = len(values_N), RANGES[kind]
    if n == 0:
        raise ValueError("no problems: nothing to estimate")
    if not (lowest <= values_N.min() and values_N.max() <= highest):
        raise ValueError(f"a {kind} lies between {lowest} and {highest}")
    if (values_N == values_N[0]).all():
        return _all_alike(float(values_N[0]), n, kind)
    value = float(values_N.mean())
    low, high = np.quantile(_resampled_means(values_N, seed), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def unseen(n: int) -> float:
    """The share of all cases that may be otherwise though n of n were alike: z²/(n + z²), Wilson's upper end for 0 of
    n."""
    return _wilson(0.0, n).high


def _all_alike(value: float, n: int, kind: Kind) -> Estimate:
    rest = unseen(n)
    lowest, highest = (value, value) if kind == "amount" else RANGES[kind]
    return Estimate(value=value, low=value - rest * (value - lowest), high=value + rest * (highest - value))


def _resampled_means(values_N: Float64[np.ndarray, " N"], seed: int) -> Float64[np.ndarray, " D"]:
    """Resampling problems draws how often each different value comes: few numbers, since values are shares of k."""
    rng, n = np.random.default_rng(seed), len(values_N)
    values_U, counts_U = np.unique(values_N, return_counts=True)
    chunks = _chunks(MEAN_DRAWS, len(values_U))
    return np.concatenate([rng.multinomial(n, counts_U / n, size=rows) @ values_U / n for rows in chunks])


def _chunks(rows: int, width: int) -> Iterator[int]:
    """Cuts ``rows`` rows of ``width`` numbers into parts of ``CELLS`` numbers at most."""
    most = max(1, CELLS // width)
    yield from (min(most, rows - start) for start in range(0, rows, most))


def ratio(parts_N: Float64[np.ndarray, " N"], wholes_N: Float64[np.ndarray, " N"], seed: int = 0) -> Estimate:
    """The sum of N problems' parts over the sum of their wholes, in [0, 1], as of instructions that are followed, with
    the percentile interval of ``MEAN_DRAWS`` resamples of the problems; where all shares are alike as ``bootstrap``.
    Raises ValueError where there is no whole."""
    if not wholes_N.sum():
        raise ValueError("nothing to divide by")
    value = float(parts_N.sum() / wholes_N.sum())
    if (parts_N * wholes_N.sum() == wholes_N * parts_N.sum()).all():
        return _all_alike(value, len(parts_N), "share")
    rng, n = np.random.default_rng(seed), len(parts_N)
    both_N2 = np.stack([parts_N, wholes_N], axis=1)
    chunks = _chunks(MEAN_DRAWS, n)
    drawn_D2 = np.concatenate([rng.multinomial(n, np.full(n, 1 / n), size=rows) @ both_N2 for rows in chunks])
    drawn_D2 = drawn_D2[drawn_D2[:, 1] > 0]
    low, high = np.quantile(drawn_D2[:, 0] / drawn_D2[:, 1], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def paired(before_N: Float64[np.ndarray, " N"], after_N: Float64[np.ndarray, " N"], seed: int = 0) -> Paired:
    """Shares of the same N problems, before and after: the mean difference, its bootstrap interval over problems, and
    the p of the sign-flip permutation test (Fisher 1935).

    Exact where at most ``ENUMERATED`` problems differ; else of ``FLIPS`` random flips (1 + as extreme) / (1 + flips),
    which is never too small (Phipson & Smyth 2010). Raises ValueError where the two have not as many problems, or none.
    """
    if len(before_N) != len(after_N):
        raise ValueError(f"{len(before_N)} problems before, {len(after_N)} after: pairs are of the same problems")
    differences_N = after_N - before_N
    estimate = bootstrap(differences_N, "difference", seed)
    return Paired(difference=estimate, p=_sign_flip(differences_N[differences_N != 0], seed))


def _sign_flip(differences_N: Float64[np.ndarray, " N"], seed: int) -> float:
    """Flipping the sign of some of N numbers instead of keeping it takes twice their sum away."""
    n, total = len(differences_N), float(differences_N.sum())
    least = abs(total) - 1e-9  # sums of shares that are the same number may differ by rounding
    if n <= ENUMERATED:
        flipped = np.arange(2**n)[:, None] >> np.arange(n) & 1
        return float(np.mean(np.abs(total - 2 * flipped @ differences_N) >= least))
    rng = np.random.default_rng(seed)
    flips = (rng.integers(2, size=(rows, n), dtype=np.int8) for rows in _chunks(FLIPS, n))
    extreme = sum(int((np.abs(total - 2 * (part @ differences_N)) >= least).sum()) for part in flips)
    return (1 + extreme) / (1 + FLIPS)


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
