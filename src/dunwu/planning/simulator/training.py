"""How long a trainer takes: the passes of its busiest rank, since ranks wait for each other at every update."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dunwu.models.flops import count_forward_flops
from dunwu.planning.simulator.records import Costs, Layout, Work


def compute_forward_seconds(lengths: Int[np.ndarray, " N"], work: Work, layout: Layout, costs: Costs) -> float:
    """Compute the seconds of all passes without gradient over a rollout; ranks wait for each other once."""
    if not work.forward_passes:
        return 0.0
    busiest = _deal(_count_flops(lengths, work), layout.ranks).sum(0).max()
    speed = costs.forward_share * layout.accelerator.flops * min(layout.rank_devices, layout.trainer_devices)
    return float(work.forward_passes * busiest / speed)


def compute_update_seconds(
    lengths: Int[np.ndarray, " N"],
    work: Work,
    layout: Layout,
    costs: Costs,
    rng: np.random.Generator,
    *,
    minibatches: int | None = None,
) -> float:
    """Compute the seconds of the updates from a rollout or a part of it.

    Ranks have nearly the same FLOPs of the whole. Each cuts its sequences into minibatches at random, and in every
    minibatch all ranks wait for the busiest: the more ranks, the more one long answer costs.

    Args:
        lengths: Of the answers.
        work: What is learnt.
        layout: Where.
        costs: What that costs.
        rng: Cuts the minibatches.
        minibatches: Of these answers; None: the rollout's.
    """
    count = minibatches or work.minibatches
    dealt = _deal(_count_flops(lengths, work), layout.ranks, multiple=count)
    cut = rng.permuted(dealt, axis=0).reshape(count, -1, dealt.shape[1])
    busiest = cut.sum(1).max(1).sum()
    speed = costs.train_share * layout.accelerator.flops * min(layout.rank_devices, layout.trainer_devices)
    return float(work.training_passes * busiest / speed)


def _count_flops(lengths: Int[np.ndarray, " N"], work: Work) -> Float[np.ndarray, " N"]:
    """Count the FLOPs of one pass over each sequence, prompt included."""
    tokens = lengths + float(work.lengths.prompt)
    row = count_forward_flops(work.shape, 0)
    return tokens * (row + (count_forward_flops(work.shape, 1) - row) * tokens)


def _deal(flops: Float[np.ndarray, " N"], ranks: int, multiple: int = 1) -> Float[np.ndarray, "M R"]:
    """Deal sequences out to ranks, the longest first and to and fro; what is missing to a full table is zero.

    Ranks without any sequence are left out.
    """
    ranks = min(ranks, len(flops))
    rows = -(-len(flops) // (ranks * multiple)) * multiple
    padded = np.zeros(rows * ranks)
    padded[: len(flops)] = np.sort(flops)[::-1]
    table = padded.reshape(rows, ranks)
    table[1::2] = table[1::2, ::-1].copy()
    return table
