"""What work costs, fitted to one published row; every other time is predicted from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from dunwu.planning.simulator.cluster import StepSeconds, simulate_step
from dunwu.planning.simulator.published import FITTED_ROW, make_colocated, make_verl_work
from dunwu.planning.simulator.records import Costs

ASSUMED: Final = Costs(train_share=0.5, forward_share=0.5, decode_share=0.6, layer_seconds=1e-4, sync_bandwidth=16e9)
"""Before the fit, which changes ``forward_share`` and ``layer_seconds``. Half of the peak in training and 60 % of the
decoding floor are assumed. Weights at 16 GB/s: verl's two mixtures, 61 GB in 4.4 s and 470 GB in 23.7 s."""
SEEDS: Final = (0, 1, 2, 3)


class Fit(NamedTuple):
    """Three numbers from three: mean length, forward share and layer seconds from update, forward and generation.

    Attributes:
        costs: Fitted and assumed.
        mean: Tokens of an answer in verl's 7B rows.
    """

    costs: Costs
    mean: float


FITTED: Final = Fit(replace(ASSUMED, forward_share=0.224, layer_seconds=2.15e-4), 395)
"""What ``fit_costs`` finds, rounded; a test compares them. Everything is predicted with these."""


def simulate_fitted_row(fit: Fit, seeds: Sequence[int] = SEEDS) -> StepSeconds:
    """Simulate verl's synchronous row on 32 devices."""
    return simulate_step(make_verl_work(fit.mean), make_colocated("h20", 32, 4, 4), fit.costs, seeds=seeds)


def fit_costs() -> Fit:
    """Fit the constants to verl's synchronous row on 32 devices, and to nothing else."""
    row, growth = FITTED_ROW, FITTED_ROW.growth

    def simulate(mean: float, seconds: float = ASSUMED.layer_seconds) -> StepSeconds:
        return simulate_fitted_row(Fit(replace(ASSUMED, layer_seconds=seconds), mean))

    mean = _solve(lambda mean: simulate(mean).update, row.update / growth, 400, 500)
    seconds = _solve(lambda seconds: simulate(mean, seconds).generation, row.generation / growth, 1e-4, 2e-4)
    share = ASSUMED.forward_share * simulate(mean).forward * growth / row.forward
    return Fit(replace(ASSUMED, forward_share=share, layer_seconds=seconds), mean)


def _solve(function: Callable[[float], float], wanted: float, first: float, second: float) -> float:
    """Find where a function that is nearly a straight line has a value, to a thousandth; begins with two guesses."""
    before, value = function(first) - wanted, function(second) - wanted
    while abs(second - first) > 1e-3 * abs(second):
        first, second = second, second - value * (second - first) / (value - before)
        before, value = value, function(second) - wanted
    return second
