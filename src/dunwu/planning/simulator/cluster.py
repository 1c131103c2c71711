"""Seconds of a step on a cluster: rollout, log-probabilities, update and sync, and how they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dunwu.planning.simulator.decode import DecodeCost, compute_generation_seconds
from dunwu.planning.simulator.records import Costs, Failures, Layout, Work
from dunwu.planning.simulator.streaming import Stream
from dunwu.planning.simulator.training import compute_forward_seconds, compute_update_seconds

WARM_UP, MEASURED = 2, 4
"""Steps that are left out, because an asynchronous cluster begins empty, and steps that are counted."""


@dataclass(frozen=True, kw_only=True)
class StepSeconds:
    """Mean seconds of a step, and of its parts, which may overlap.

    Attributes:
        step: From one version of the weights to the next.
        low: The least of the seeds.
        high: The most of the seeds.
        generation: Of the rollout; of a streaming one, what the trainer waits.
        forward: Of the passes without gradient; of a streaming trainer they are in ``update``.
        update: Of the updates.
        sync: Of the change of weights.
    """

    step: float
    low: float
    high: float
    generation: float
    forward: float
    update: float
    sync: float


def simulate_step(
    work: Work, layout: Layout, costs: Costs, *, seeds: Sequence[int] = (0, 1, 2, 3), failures: Failures | None = None
) -> StepSeconds:
    """Simulate steps of a cluster.

    Args:
        work: What a step does.
        layout: Where.
        costs: What that costs.
        seeds: Each draws lengths and minibatches.
        failures: How often devices fail; None: never.
    """
    simulate = _simulate_stream if layout.streams else _simulate_rollouts
    found = np.array([simulate(work, layout, costs, seed) for seed in seeds])
    steps = found[:, 0] * compute_slowdown(float(found[:, 0].mean()), layout.devices, failures)
    _, generation, forward, update = found.mean(0).tolist()
    return StepSeconds(
        step=float(steps.mean()),
        low=float(steps.min()),
        high=float(steps.max()),
        generation=generation,
        forward=forward,
        update=update,
        sync=compute_sync_seconds(work, costs),
    )


def compute_sync_seconds(work: Work, costs: Costs) -> float:
    """Compute the seconds in which all weights reach the engines."""
    return work.shape.parameters * work.weight_bytes / costs.sync_bandwidth


def compute_slowdown(step: float, devices: int, failures: Failures | None) -> float:
    """Compute by how much failures draw out a run.

    Each costs the restart and on average half a step, and more of them happen in the time that they add.

    Args:
        step: Seconds of one without failures.
        devices: Any of which may fail.
        failures: How often; None: never.

    Returns:
        1 or more; infinity where a run is lost faster than it goes on.
    """
    if failures is None:
        return 1.0
    lost = devices / (3600 * failures.hours_between) * (failures.restart_seconds + step / 2)
    return 1 / (1 - lost) if lost < 1 else float("inf")


Found = tuple[float, float, float, float]
"""Seconds of a step, of its generation, its forward passes and its updates."""


def _simulate_rollouts(work: Work, layout: Layout, costs: Costs, seed: int) -> Found:
    """Simulate whole rollouts, one after the other: rollout k waits for version k - max_staleness of the weights.

    Colocated devices do the same without any staleness, whatever was asked.
    """
    lengths_rng, cuts_rng = np.random.default_rng(seed).spawn(2)  # so that every layout has the same answers
    cost = DecodeCost(work, layout, costs)
    staleness = 0 if layout.colocated else int(layout.max_staleness)
    sync = compute_sync_seconds(work, costs)
    rolled, trained = [0.0], [0.0]  # when rollout k, and the version that it makes, were there
    parts = []
    for number in range(1, WARM_UP + MEASURED + 1):
        lengths = work.lengths.draw(lengths_rng, work.answers)
        generation = compute_generation_seconds(lengths, work.questions, layout.engines, cost)
        forward = compute_forward_seconds(lengths, work, layout, costs)
        update = compute_update_seconds(lengths, work, layout, costs, cuts_rng)
        rolled.append(max(rolled[-1], trained[max(0, number - 1 - staleness)]) + generation)
        trained.append(max(rolled[-1], trained[-1]) + forward + update + sync)
        parts.append((generation, forward, update))
    generation, forward, update = np.mean(parts[WARM_UP:], axis=0).tolist()
    return (trained[-1] - trained[WARM_UP]) / MEASURED, generation, forward, update


def _simulate_stream(work: Work, layout: Layout, costs: Costs, seed: int) -> Found:
    sync = compute_sync_seconds(work, costs)
    done = Stream(work, layout, costs, sync, seed).run(WARM_UP + MEASURED)
    step = (done.ends[-1] - done.ends[WARM_UP - 1]) / MEASURED
    update = float(np.mean(done.update[WARM_UP:]))
    return step, step - update - sync, 0.0, update
