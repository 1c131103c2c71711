"""Where the level of a series changes: a permutation test of the largest mean difference, and binary segmentation.

The statistic is that of the likelihood ratio for one change of the mean (Sen and Srivastava 1975): over all places k
that leave at least ``shortest`` points on each side, the largest sqrt(k (n-k) / n) |mean after - mean before|. Where
nothing changes, its distribution is that over permutations of the series itself. So the probability of a false alarm is
at most the level for any noise that is exchangeable; ``tests/unit/analysis`` holds it to that. A change that was found
splits the series, and both sides are looked at again (Vostrikova 1981).

A level may change at once or climb. A change is a ``jump`` where one step describes the series around it as well as the
best ramp does, and a ``climb`` otherwise. That is decided at 95 % by the likelihood ratio: chi-squared with the one
parameter that a ramp has more. Steps that are parts of one ramp are one climb. Only a jump is sudden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

PERMUTATIONS = 1999
ENOUGH = 20
"""Permutations with as large a statistic after which there is nothing to find (Besag and Clifford 1991)."""
CHUNK = 2_000_000
"""Numbers that are permuted at once."""
CLOSE = 3.841
"""The 95 % quantile of chi-squared with one degree of freedom."""
TINY = 1e-12
KNOTS = 60

Values = Float64[np.ndarray, " N"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the level of a series.

    Attributes:
        place: It lies between point ``place`` - 1 and point ``place``; of a climb that is its middle.
        first: Of a jump, the first place that the data can hardly tell from it (95 % by the likelihood ratio); of a
            climb, the point where the ramp begins.
        last: The last such place, or the point where the ramp ends.
        before: The level before it.
        after: The level after it.
        size: The difference in standard deviations of the points around it.
        p: The p-value of the permutation test.
        kind: Whether one step describes it as well as a ramp does.
    """

    place: int
    first: int
    last: int
    before: float
    after: float
    size: float
    p: float
    kind: Literal["jump", "climb"]


def compute_window(n: int) -> int:
    """Compute the shortest stretch of a series of n points that counts as a level: a twentieth, at least two."""
    return max(2, n // 20)


def find_changes(values_N: Sequence[float] | Values, *, level: float = 0.05, seed: int = 0) -> list[Change]:
    """Find the changes of a series.

    Args:
        values_N: The series; NaN nowhere.
        level: The largest probability that a change is found in a series without any.
        seed: Of the permutations, so that the same series gives the same changes.

    Returns:
        The changes in order; none where the series is too short or nothing but noise.
    """
    values = np.asarray(values_N, dtype=np.float64)
    rng = np.random.default_rng(seed)
    found = sorted(_split(values, 0, level, rng, compute_window(len(values))))
    ends = [*(place for place, _ in found), len(values)]
    described, start, number = list[Change](), 0, 0
    while number < len(found):
        last = max(  # of the steps that are one ramp, as many as can be
            (end for end in range(number, len(found)) if _is_one_climb(values, start, ends[number : end + 2])),
            default=number,
        )
        described.append(_describe_change(values, start, ends[last + 1], found[number : last + 1]))
        start, number = ends[last], last + 1
    return described


def _split(
    values: Values, offset: int, level: float, rng: np.random.Generator, shortest: int
) -> list[tuple[int, float]]:
    """Find (place, p) of every change of a stretch that begins at ``offset``."""
    n = len(values)
    if n < 2 * shortest or np.ptp(values) == 0:
        return []
    profile = _compute_statistics(values[None, :], shortest)[0]
    p = _estimate_p_value(values, float(profile.max()), rng, shortest)
    if p > level:
        return []
    place = shortest + int(profile.argmax())
    left = _split(values[:place], offset, level, rng, shortest)
    return [*left, (offset + place, p), *_split(values[place:], offset + place, level, rng, shortest)]


def _compute_statistics(values_BN: Float64[np.ndarray, "B N"], shortest: int) -> Float64[np.ndarray, "B K"]:
    """Compute the statistic at every place from ``shortest`` to n - ``shortest``."""
    n = values_BN.shape[1]
    sums_BN = np.cumsum(values_BN - values_BN.mean(axis=1, keepdims=True), axis=1)
    k = np.arange(shortest, n - shortest + 1)
    found: Float64[np.ndarray, "B K"] = np.abs(sums_BN[:, k - 1]) * np.sqrt(n / (k * (n - k)))
    return found


def _estimate_p_value(values: Values, found: float, rng: np.random.Generator, shortest: int) -> float:
    """Estimate the share of permutations whose statistic is as large; the series itself counts as one, so never 0.

    Once ENOUGH of them are, their share among those tried so far is as valid (Besag and Clifford 1991). A series in
    which nothing happens then costs next to nothing.
    """
    rows = min(100, max(1, CHUNK // len(values)))
    as_large, done = 0, 0
    while done < PERMUTATIONS:
        count = min(rows, PERMUTATIONS - done)
        shuffled = rng.permuted(np.broadcast_to(values, (count, len(values))), axis=1)
        larger = np.cumsum(_compute_statistics(shuffled, shortest).max(axis=1) >= found * (1 - 1e-12))
        if as_large + larger[-1] >= ENOUGH:
            return ENOUGH / (done + 1 + int(np.searchsorted(larger, ENOUGH - as_large)))
        as_large += int(larger[-1])
        done += count
    return (1 + as_large) / (1 + PERMUTATIONS)


def _describe_change(values: Values, start: int, end: int, steps: Sequence[tuple[int, float]]) -> Change:
    """Describe the change of the stretch between its neighbours that lies at these steps, (place, p)."""
    stretch = values[start:end]
    n = len(stretch)
    place, p = steps[0][0], min(p for _, p in steps)
    ramp = _fit_ramp(stretch)
    left_K = np.array([_sum_squares(stretch[:k]) + _sum_squares(stretch[k:]) for k in range(1, n)])
    # Chi-squared with one degree of freedom, 95 %: n log(RSS / RSS_min) <= CLOSE.
    close = np.flatnonzero(left_K <= left_K.min() * math.exp(CLOSE / n) + TINY) + 1
    if len(steps) == 1 and left_K[place - start - 1] <= ramp.left * math.exp(CLOSE / n) + TINY:
        k = place - start
        before, after, left = float(stretch[:k].mean()), float(stretch[k:].mean()), float(left_K[k - 1])
        kind: Literal["jump", "climb"] = "jump"
        first, last = min(int(close[0]), k), max(int(close[-1]), k)
    else:
        before, after, left, kind, first, last = ramp.before, ramp.after, ramp.left, "climb", ramp.first, ramp.last
        place = start + max(1, (first + last + 1) // 2)
    noise = math.sqrt(left / max(n - 2, 1))
    return Change(
        place=place,
        first=start + first,
        last=start + last,
        before=before,
        after=after,
        size=(after - before) / noise if noise > 0 else math.copysign(math.inf, after - before),
        p=p,
        kind=kind,
    )


def _is_one_climb(values: Values, start: int, ends: Sequence[int]) -> bool:
    """Tell whether one ramp describes the stretch better than steps at all of ``ends`` but the last.

    That is decided by Schwarz's criterion: a ramp has two ends and two levels, m steps have m places and m + 1 levels.
    """
    edges, n = [start, *ends], ends[-1] - start
    steps = sum(_sum_squares(values[low:high]) for low, high in pairwise(edges))
    spared = (2 * (len(ends) - 1) + 1 - 4) * math.log(n)
    ramp = _fit_ramp(values[start : edges[-1]]).left
    return len(ends) > 2 and n * math.log((ramp + TINY) / (steps + TINY)) <= spared


class _Ramp(NamedTuple):
    """Level ``before`` to point ``first``, a straight line to ``last``, level ``after``; ``left``: sum of squares."""

    first: int
    last: int
    before: float
    after: float
    left: float


def _fit_ramp(values: Values) -> _Ramp:
    """Fit a ramp by least squares, its ends on a grid of at most KNOTS points."""
    n = len(values)
    knots = np.unique(np.linspace(0, n - 1, min(n, KNOTS)).round().astype(int))
    firsts, lasts = (pair.ravel() for pair in np.meshgrid(knots, knots, indexing="ij"))
    firsts, lasts = firsts[firsts < lasts], lasts[firsts < lasts]
    shape_RN = np.clip((np.arange(n) - firsts[:, None]) / (lasts - firsts)[:, None], 0, 1)
    means_R = shape_RN.mean(axis=1)
    centred = values - values.mean()
    slopes_R = (shape_RN @ centred) / ((shape_RN - means_R[:, None]) ** 2).sum(axis=1)
    left_R = _sum_squares(values) - slopes_R * (shape_RN @ centred)
    best = int(left_R.argmin())
    before = float(values.mean() - slopes_R[best] * means_R[best])
    return _Ramp(
        int(firsts[best]), int(lasts[best]), before, before + float(slopes_R[best]), max(0.0, float(left_R[best]))
    )


def _sum_squares(values: Values) -> float:
    return float(((values - values.mean()) ** 2).sum())
