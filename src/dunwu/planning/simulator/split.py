"""How many devices should roll out for one that trains: the recipe's devices, divided in several ways."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np

from dunwu.config.schema import HardwareSpec, RLStage
from dunwu.errors import counted
from dunwu.models.flops import count_training_passes
from dunwu.models.shape import ModelShape
from dunwu.planning.accelerators import ACCELERATORS, Accelerator
from dunwu.planning.batches import Batches
from dunwu.planning.simulator.cluster import compute_sync_seconds
from dunwu.planning.simulator.decode import DecodeCost, compute_generation_seconds
from dunwu.planning.simulator.fitted import FITTED
from dunwu.planning.simulator.published import SIGMA
from dunwu.planning.simulator.records import KV_BYTES, Layout, Lengths, Work
from dunwu.planning.simulator.training import compute_forward_seconds, compute_update_seconds

SHARES: Final = 16
"""A split gives a multiple of one such share of the devices to rollouts."""
MOST_ANSWERS, MOST_MINIBATCHES = 1 << 15, 256
"""Of a rollout: a plan with more says nothing of a split, as it would take long to find."""
STATE_BYTES: Final = 18
"""Of a weight that learns: itself in bfloat16; its gradient, master copy and two moments in float32."""


class Split(NamedTuple):
    """The best split and what it is compared with.

    Attributes:
        rollout_devices: That generate.
        trainer_devices: That learn.
        seconds: Of a rollout and its updates at max_staleness 1.
        together: Of the same where all devices do both by turns.
    """

    rollout_devices: int
    trainer_devices: int
    seconds: float
    together: float

    def describe(self) -> str:
        """Say in a line how to divide the devices, and what that saves."""
        rollout, trainer = self.rollout_devices, self.trainer_devices
        return (
            f"{counted(rollout, 'device')} to roll out, {trainer} to train ({rollout / trainer:.2g} to 1): "
            f"a rollout in {self.seconds:,.0f} s at max_staleness 1, "
            f"in {self.together:,.0f} s with all by turns; simulated"
        )


def describe_split(
    stage: RLStage, shape: ModelShape, prompt: int, counts: Batches, hardware: HardwareSpec
) -> dict[str, str]:
    """Describe the best split of a recipe's devices, as a line of its plan; nothing where they are too few.

    Args:
        stage: The recipe's.
        shape: Its model.
        prompt: Tokens of a prompt.
        counts: Of its rollouts.
        hardware: Several GPUs.
    """
    work = make_work(stage, shape, prompt, counts, hardware)
    if work.answers > MOST_ANSWERS or work.minibatches > MOST_MINIBATCHES:
        return {}
    split = find_split(work, hardware.device, hardware.count)
    return {} if split is None else {"split": split.describe()}


def make_work(stage: RLStage, shape: ModelShape, prompt: int, counts: Batches, hardware: HardwareSpec) -> Work:
    """Make the step that most rollouts of a stage are; arguments as for ``describe_split``."""
    limit = max(counts.contexts, key=lambda phase: phase.rollouts).max_new_tokens
    lengths = Lengths(mean=hardware.length_share * limit, sigma=SIGMA, cap=limit, prompt=prompt)
    return Work(
        shape=shape,
        questions=counts.questions,
        group_size=counts.group_size,
        lengths=lengths,
        minibatches=stage.update.minibatches * stage.update.epochs,
        forward_passes=stage.computes_old_logprobs + (stage.algorithm.kl_coefficient > 0),
        training_passes=count_training_passes(stage),
    )


@lru_cache(maxsize=32)  # stages of a recipe are often alike
def find_split(work: Work, name: str, count: int) -> Split | None:
    """Find the split with the shortest step at max_staleness 1.

    One rollout is drawn. An engine has the fewest devices, a power of two, that hold the weights in half of their
    memory; a rank of the trainer has as many.

    Args:
        work: What a rollout and its updates do.
        name: Of the devices.
        count: Devices.

    Returns:
        The best split; None where devices are too few for two parts.
    """
    device = ACCELERATORS[name]
    size = _count_engine_devices(work, device)
    splits = list(_list_splits(work, device, count, size))
    if not splits:
        return None
    lengths = work.lengths.draw(np.random.default_rng(0), work.answers)
    generation, training = _simulate(work, _make_layout(device, count, count, size), lengths)

    @cache
    def simulate(place: int) -> tuple[float, float]:
        return _simulate(work, _make_layout(device, *splits[place], size), lengths)

    # More devices for rollouts make them faster and training slower: the best split is where the two meet.
    meeting = bisect_left(range(len(splits)), True, key=lambda place: simulate(place)[0] <= simulate(place)[1])
    near = {max(0, meeting - 1), min(meeting, len(splits) - 1)}
    best = min(near, key=lambda place: max(simulate(place)))
    return Split(*splits[best], max(simulate(best)), generation + training)


def _simulate(work: Work, layout: Layout, lengths: np.ndarray) -> tuple[float, float]:
    """Simulate the rollout, and everything that the trainer does for it."""
    costs = FITTED.costs
    generation = compute_generation_seconds(lengths, work.questions, layout.engines, DecodeCost(work, layout, costs))
    forward = compute_forward_seconds(lengths, work, layout, costs)
    update = compute_update_seconds(lengths, work, layout, costs, np.random.default_rng(0))
    return generation, forward + update + compute_sync_seconds(work, costs)


def _make_layout(device: Accelerator, rollout: int, trainer: int, size: int) -> Layout:
    return Layout(
        accelerator=device,
        rollout_devices=rollout,
        trainer_devices=trainer,
        engine_devices=size,
        rank_devices=size,
        max_staleness=1,
    )


def _count_engine_devices(work: Work, device: Accelerator) -> int:
    needed = 2 * work.shape.parameters * KV_BYTES / (device.memory_gib * 2**30)
    return int(2 ** max(0, np.ceil(np.log2(needed))))


def _list_splits(work: Work, device: Accelerator, count: int, size: int) -> Iterator[tuple[int, int]]:
    """List devices that generate and that learn; those that learn must hold all that learning keeps."""
    needed = work.shape.parameters * STATE_BYTES / (device.memory_gib * 2**30)
    tried = sorted({count * share // SHARES // size * size for share in range(1, SHARES)})
    yield from ((rollout, count - rollout) for rollout in tried if rollout >= size and count - rollout >= needed)
