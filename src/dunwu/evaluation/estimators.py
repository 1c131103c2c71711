"""Estimators over N problems with k samples each; all intervals are 95 %.

An interval speaks of new problems of the same kind. Samples of one problem are not independent, so every interval is
made from the N per-problem values alone. ``votes`` has the majority vote.

Dimensions: N problems, D bootstrap draws, U distinct values, G good and B bad texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import ndtri  # scipy.stats takes a second to import, and few runs rank anything

from dunwu.types import Estimate

CONFIDENCE = 0.95
DRAWS = 1000
"""Bootstrap draws where each of them costs a fit or a sort."""
BINS = 10
MEAN_DRAWS = 10_000
"""Bootstrap draws of a mean."""
FLIPS = 100_000
"""Random sign flips of a paired test."""
MAX_ENUMERATED = 16
"""Up to this many differing problems all 2^n sign flips are counted."""
CELLS = 2_000_000
"""Random numbers drawn at a time (16 MB)."""

ValueKind = Literal["share", "difference", "amount"]
"""What a problem's value is: a share in [0, 1], a difference of two shares in [-1, 1], or any number."""
RANGES = {"share": (0.0, 1.0), "difference": (-1.0, 1.0), "amount": (-math.inf, math.inf)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """How the mean over the same problems changed.

    Attributes:
        difference: The mean of after - before.
        p: Two-sided: the chance of a change at least this large if before and after could be swapped in each problem.
    """

    difference: Estimate
    p: float


def estimate_pass_at_k(correct: int, samples: int, k: int) -> float:
    """Estimate the probability that at least one of k samples of a problem is correct.

    1 - C(samples - correct, k) / C(samples, k), which is unbiased (Chen et al. 2021, arXiv 2107.03374, equation 1).

    Args:
        correct: How many samples were correct.
        samples: How many there were.
        k: At least 1, at most ``samples``.

    Returns:
        pass@k in [0, 1].

    Raises:
        ValueError: ``k`` is out of range.
    """
    if not 1 <= k <= samples:
        raise ValueError(f"pass@{k} needs 1 <= k <= {samples} samples")
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


def bootstrap_mean(values_N: Float64[np.ndarray, " N"], kind: ValueKind, seed: int = 0) -> Estimate:
    """Estimate the mean of per-problem values, with the percentile interval of ``MEAN_DRAWS`` resamples.

    Where all N values are equal, resampling would claim certainty. There ``bound_unseen_share(N)`` of all problems may
    have any value in the range of the kind; at 0 and at 1 this is the Wilson interval of N coin flips. An amount has no
    range, so its interval is the value alone.

    Args:
        values_N: One value a problem.
        kind: What the values are, which says their range.
        seed: Of the resampling.

    Returns:
        The mean and its interval.

    Raises:
        ValueError: There are no values, or one is out of range.
    """
    n, (lowest, highest) = len(values_N), RANGES[kind]
    if n == 0:
        raise ValueError("no problems: nothing to estimate")
    if not (lowest <= values_N.min() and values_N.max() <= highest):
        raise ValueError(f"a {kind} lies between {lowest} and {highest}")
    if (values_N == values_N[0]).all():
        return _estimate_of_equals(float(values_N[0]), n, kind)
    value = float(values_N.mean())
    return _with_interval(value, _resample_means(values_N, seed))


def bound_unseen_share(n: int) -> float:
    """Return the largest share of cases that may differ although n of n were alike.

    z²/(n + z²): the upper end of Wilson's interval for 0 of n.
    """
    return _wilson(0.0, n).high


def bootstrap_ratio(
    parts_N: Float64[np.ndarray, " N"], wholes_N: Float64[np.ndarray, " N"], kind: ValueKind = "share", seed: int = 0
) -> Estimate:
    """Estimate the sum of the parts over the sum of the wholes, such as instructions followed of instructions given.

    The interval is the percentile one of ``MEAN_DRAWS`` resamples of the problems; where all ratios are equal it is
    that of ``bootstrap_mean``.

    Args:
        parts_N: For each problem a number; of a share, from 0 to its whole.
        wholes_N: For each problem the number that could have been reached, or by which an amount is divided.
        kind: What the ratio is.
        seed: Of the resampling.

    Returns:
        The ratio and its interval.

    Raises:
        ValueError: The wholes sum to zero.
    """
    if not wholes_N.sum():
        raise ValueError("nothing to divide by")
    value = float(parts_N.sum() / wholes_N.sum())
    if (parts_N * wholes_N.sum() == wholes_N * parts_N.sum()).all():
        return _estimate_of_equals(value, len(parts_N), kind)
    rng, n = np.random.default_rng(seed), len(parts_N)
    both_N2 = np.stack([parts_N, wholes_N], axis=1)
    chunks = _chunks(MEAN_DRAWS, n)
    sums_D2 = np.concatenate([rng.multinomial(n, np.full(n, 1 / n), size=rows) @ both_N2 for rows in chunks])
    sums_D2 = sums_D2[sums_D2[:, 1] > 0]
    return _with_interval(value, sums_D2[:, 0] / sums_D2[:, 1])


def compare_pairs(before_N: Float64[np.ndarray, " N"], after_N: Float64[np.ndarray, " N"], seed: int = 0) -> PairedTest:
    """Test whether the mean over the same N problems changed, by flipping signs (Fisher 1935).

    The p-value is exact where at most ``MAX_ENUMERATED`` problems differ. Beyond, it is (1 + as extreme) / (1 + flips)
    over ``FLIPS`` random flips, which is never too small (Phipson and Smyth 2010).

    Args:
        before_N: For each problem a share in [0, 1].
        after_N: The same problems' shares afterwards, in the same order.
        seed: Of the resampling and of the flips.

    Returns:
        The mean difference with its bootstrap interval over problems, and the p-value.

    Raises:
        ValueError: The two differ in length, or are empty.
    """
    if len(before_N) != len(after_N):
        raise ValueError(f"{len(before_N)} problems before, {len(after_N)} after: pairs are of the same problems")
    differences_N = after_N - before_N
    estimate = bootstrap_mean(differences_N, "difference", seed)
    return PairedTest(difference=estimate, p=_flip_signs(differences_N[differences_N != 0], seed))


def estimate_proportion(values_N: Float64[np.ndarray, " N"], samples: int) -> Estimate:
    """Estimate the mean of per-problem shares with a Wilson score interval.

    Shares of several samples vary less than single coin flips. So the interval's n is the effective number of flips,
    p(1-p) / (s²/N) >= N (Korn and Graubard 1998), and never more than the flips that there were, however equal a few
    problems may be by chance. It stays honest at 0 and at 1, where a bootstrap would claim certainty.

    Args:
        values_N: One share in [0, 1] a problem.
        samples: The most samples that such a share is made of.

    Returns:
        The mean and its interval.

    Raises:
        ValueError: There are no values.
    """
    n = len(values_N)
    if n == 0:
        raise ValueError("no problems: nothing to estimate")
    p = float(values_N.mean())
    variance = float(values_N.var(ddof=1)) if n > 1 else 0.0
    flips = min(max(n, n * p * (1 - p) / variance), n * samples) if variance > 0 else n
    return _wilson(p, flips)


def estimate_auroc(scores_N: Float64[np.ndarray, " N"], good_N: Bool[np.ndarray, " N"]) -> Estimate:
    """Estimate the area under the ROC curve: how often a good text scores higher than a bad one, ties counted half.

    By ranks (Mann and Whitney 1947), with the variance of DeLong et al. (1988) in a Wilson interval. Its n is the
    number of coin flips with this variance, and at least the size of the rarer class, which stays honest at 1.

    Args:
        scores_N: One score a text.
        good_N: Which texts are good.

    Returns:
        The area in [0, 1] and its interval.

    Raises:
        ValueError: All texts are good, or none is.
    """
    good, bad = scores_N[good_N], scores_N[~good_N]
    if not (len(good) and len(bad)):
        raise ValueError("a ranking needs good ones and bad ones")
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([good, bad]))
    above_G = (ranks[: len(good)] - rankdata(good)) / len(bad)  # for each good one, the share of bad ones below
    below_B = 1 - (ranks[len(good) :] - rankdata(bad)) / len(good)
    p = float(above_G.mean())
    variance = sum(float(shares.var(ddof=1)) / len(shares) for shares in (above_G, below_B) if len(shares) > 1)
    rarer = min(len(good), len(bad))
    return _wilson(p, max(rarer, p * (1 - p) / variance) if variance > 0 else rarer)


def estimate_calibration_error(
    confidence_N: Float64[np.ndarray, " N"], right_N: Bool[np.ndarray, " N"], seed: int = 0
) -> Estimate:
    """Estimate the expected calibration error (Naeini et al. 2015).

    It is the mean distance between confidence and accuracy over ``BINS`` equal bins of [1/2, 1], weighted by their
    size, and above 0 by chance alone where bins are small. Bootstrap draws repeat texts, which by itself makes the
    error of a draw larger; so the interval of ``DRAWS`` draws is moved to where their mean is the value.

    Args:
        confidence_N: One confidence in [1/2, 1] a prediction.
        right_N: Which predictions are right.
        seed: Of the resampling.

    Returns:
        The error in [0, 1/2] and its interval.

    Raises:
        ValueError: There are no predictions.
    """
    if not len(confidence_N):
        raise ValueError("nothing to calibrate")
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(confidence_N), size=(DRAWS, len(confidence_N)))
    errors_D = np.array([_calibration_error(confidence_N[draw], right_N[draw]) for draw in draws])
    value = _calibration_error(confidence_N, right_N)
    low, high = value - errors_D.mean() + np.quantile(errors_D, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=max(0.0, min(value, float(low))), high=max(value, float(high)))


def _with_interval(value: float, resampled_D: Float64[np.ndarray, " D"]) -> Estimate:
    """Return the value with the percentile interval of its resamples, which the value never lies outside of."""
    low, high = np.quantile(resampled_D, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def _estimate_of_equals(value: float, n: int, kind: ValueKind) -> Estimate:
    rest = bound_unseen_share(n)
    lowest, highest = (value, value) if kind == "amount" else RANGES[kind]
    return Estimate(value=value, low=value - rest * (value - lowest), high=value + rest * (highest - value))


def _resample_means(values_N: Float64[np.ndarray, " N"], seed: int) -> Float64[np.ndarray, " D"]:
    """Draw how often each distinct value comes: values are shares of k, so there are few."""
    rng, n = np.random.default_rng(seed), len(values_N)
    values_U, counts_U = np.unique(values_N, return_counts=True)
    chunks = _chunks(MEAN_DRAWS, len(values_U))
    return np.concatenate([rng.multinomial(n, counts_U / n, size=rows) @ values_U / n for rows in chunks])


def _chunks(rows: int, width: int) -> Iterator[int]:
    """Split ``rows`` rows of ``width`` numbers into chunks of at most ``CELLS`` numbers."""
    most = max(1, CELLS // width)
    yield from (min(most, rows - start) for start in range(0, rows, most))


def _flip_signs(differences_N: Float64[np.ndarray, " N"], seed: int) -> float:
    """Return the p of the sign-flip test; to flip a sign takes twice the number from the sum."""
    n, total = len(differences_N), float(differences_N.sum())
    least = abs(total) - 1e-9  # sums of shares that are the same number may differ by rounding
    if n <= MAX_ENUMERATED:
        flipped = np.arange(2**n)[:, None] >> np.arange(n) & 1
        return float(np.mean(np.abs(total - 2 * flipped @ differences_N) >= least))
    rng = np.random.default_rng(seed)
    flips = (rng.integers(2, size=(rows, n), dtype=np.int8) for rows in _chunks(FLIPS, n))
    extreme = sum(int((np.abs(total - 2 * (chunk @ differences_N)) >= least).sum()) for chunk in flips)
    return (1 + extreme) / (1 + FLIPS)


def _wilson(p: float, flips: float) -> Estimate:
    """Return a share with the Wilson score interval of this many coin flips (Wilson 1927)."""
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    centre = (p + z * z / (2 * flips)) / (1 + z * z / flips)
    half = z / (1 + z * z / flips) * math.sqrt(p * (1 - p) / flips + z * z / (4 * flips * flips))
    return Estimate(value=p, low=max(0.0, min(p, centre - half)), high=min(1.0, max(p, centre + half)))


def _calibration_error(confidence_N: Float64[np.ndarray, " N"], right_N: Bool[np.ndarray, " N"]) -> float:
    bins = np.minimum(((confidence_N - 0.5) * 2 * BINS).astype(int), BINS - 1)
    distance = np.bincount(bins, weights=confidence_N - right_N, minlength=BINS)
    return float(np.abs(distance).sum() / len(confidence_N))
