"""Metrics that know how to reduce: a sum and a weight travel together, so that averages over microbatches are exact.

And the mean of what was measured several times, with its interval.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from dunwu.types import Estimate


@dataclass(frozen=True, slots=True)
class Mean:
    """A weighted mean in the making: ``total`` = sum of weight x value."""

    total: float
    weight: float

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.weight + other.weight)

    @property
    def value(self) -> float:
        """The mean; 0 where nothing was counted."""
        return self.total / self.weight if self.weight else 0.0


@dataclass(frozen=True, slots=True)
class Max:
    """The largest value seen."""

    value: float

    def __add__(self, other: Max) -> Max:
        return Max(max(self.value, other.value))


@dataclass(frozen=True, slots=True)
class EffectiveShare:
    """Kish's effective sample size in the making, as a share of the samples: ``total`` and ``squares`` of weights."""

    total: float
    squares: float
    count: float

    def __add__(self, other: EffectiveShare) -> EffectiveShare:
        return EffectiveShare(self.total + other.total, self.squares + other.squares, self.count + other.count)

    @property
    def value(self) -> float:
        """(sum w)^2 / (sum w^2) / n, in [0, 1]: 1 where all weights are equal, 0 where all are 0."""
        return self.total**2 / self.squares / self.count if self.squares else 0.0


Metric = Mean | Max | EffectiveShare


def combine(parts: Iterable[Mapping[str, Metric]]) -> dict[str, Metric]:
    """Add metrics of the same name over parts (microbatches, workers).

    Raises:
        TypeError: a name changes its kind.
    """
    combined: dict[str, Metric] = {}
    for part in parts:
        for name, metric in part.items():
            before = combined.get(name)
            combined[name] = metric if before is None else _add(name, before, metric)
    return combined


def _add(name: str, left: Metric, right: Metric) -> Metric:
    match left, right:
        case Mean(), Mean():
            return left + right
        case Max(), Max():
            return left + right
        case EffectiveShare(), EffectiveShare():
            return left + right
        case _:
            raise TypeError(f"metric {name!r} is a {type(left).__name__} and a {type(right).__name__}")


def reduce(metrics: Mapping[str, Metric]) -> dict[str, float]:
    """Return the plain numbers, sorted by name."""
    return {name: metrics[name].value for name in sorted(metrics)}


def estimate_mean(
    values_N: Sequence[float] | Float64[np.ndarray, " N"], *, lowest: float = -math.inf, highest: float = math.inf
) -> Estimate:
    """Estimate the mean of independent values, with Student's 95 % interval.

    Args:
        values_N: at least one; of a single value there is no interval.
        lowest: the least that a value can be, where the interval ends: a count's is 0.
        highest: the most that a value can be.

    Raises:
        ValueError: there are no values.
    """
    from scipy.special import stdtrit  # half of what importing this file would take

    n = len(values_N)
    if not n:
        raise ValueError("no values: nothing to estimate")
    centre = float(np.mean(values_N))
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values_N, ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    return Estimate(value=centre, low=max(lowest, centre - half), high=min(highest, centre + half))


class Stopwatch:
    """Adds up seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
