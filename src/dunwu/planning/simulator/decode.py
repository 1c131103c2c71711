"""How long engines take to write answers: decoding row by row, from what a device reads and computes."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
from jaxtyping import Int

from dunwu.models.flops import count_forward_flops
from dunwu.planning.accelerators import Accelerator
from dunwu.planning.simulator.records import KV_BYTES, Costs, Layout, Work

MEMORY_SHARE = 0.8
"""Of a device's memory that an engine may fill."""


class DecodeCost:
    """What one engine takes for a token of each of its rows.

    The slower of reading (weights and cache) and computing, both at ``decode_share``, and ``layer_seconds`` a layer.
    A mixture reads the experts that any row asks for, as if rows chose them by themselves.
    """

    def __init__(self, work: Work, layout: Layout, costs: Costs) -> None:
        """Work out the constants of an engine.

        Args:
            work: What is written.
            layout: Where.
            costs: What that costs.
        """
        shape, device, size = work.shape, layout.accelerator, layout.engine_devices
        self._bytes_per_second = costs.decode_share * device.bandwidth * size
        self._flops_per_second = costs.decode_share * device.flops * size
        self._overhead = costs.layer_seconds * shape.layers
        self._weight_bytes = shape.parameters * work.weight_bytes
        self._idle_share = 1 - shape.active / shape.parameters
        self._position_bytes = shape.kv_values * KV_BYTES
        self._row_flops = count_forward_flops(shape, 0)
        self._position_flops = 2 * (count_forward_flops(shape, 1) - self._row_flops)
        self.prompt = work.lengths.prompt
        self.max_rows = min(layout.max_rows, _count_rows(work, device, size))

    def compute_token_seconds(self, rows: int, positions: float) -> float:
        """Compute the seconds of one token for each row.

        Args:
            rows: Answers that are decoded.
            positions: Cached tokens of all of them.
        """
        read = self._weight_bytes * (1 - self._idle_share**rows) + self._position_bytes * positions
        flops = self._row_flops * rows + self._position_flops * positions
        return self._overhead + max(read / self._bytes_per_second, flops / self._flops_per_second)

    def compute_prefill_seconds(self, tokens: float, sequences: int) -> float:
        """Compute the seconds of a pass over the tokens of so many sequences."""
        flops = self._row_flops + self._position_flops / 2 * tokens / max(1, sequences)
        return tokens * flops / self._flops_per_second


def _count_rows(work: Work, device: Accelerator, size: int) -> int:
    """Count the answers whose cache an engine can hold while they are written; at least one."""
    free = MEMORY_SHARE * size * device.memory_gib * 2**30 - work.shape.parameters * work.weight_bytes
    mean = work.lengths.prompt + work.lengths.mean
    return max(1, int(free / (work.shape.kv_values * KV_BYTES * mean)))


class Engine:
    """One engine at a point of time; its rows advance by a token together."""

    def __init__(self, cost: DecodeCost) -> None:
        """Begin with no rows.

        Args:
            cost: What a token takes.
        """
        self.cost, self.now, self.tokens = cost, 0.0, 0.0
        self._tick = 0.0
        self._rows: list[tuple[float, int, float]] = []  # end and begin in ticks, and whose row it is
        self._begun = 0.0  # the sum of the ticks at which its rows began

    @property
    def rows(self) -> int:
        """Answers that are being written."""
        return len(self._rows)

    @property
    def positions(self) -> float:
        """Cached tokens of all rows."""
        return self.rows * (self.cost.prompt + self._tick) - self._begun

    def add(self, owner: int, length: int) -> None:
        """Begin an answer of so many tokens."""
        heappush(self._rows, (self._tick + length, owner, self._tick))
        self._begun += self._tick

    def find_next_end(self) -> float:
        """Find when the next row ends; infinity for an engine without any."""
        if not self._rows:
            return float("inf")
        left = self._rows[0][0] - self._tick
        return self.now + left * self.cost.compute_token_seconds(self.rows, self.positions + self.rows * left / 2)

    def finish_next(self) -> int:
        """Advance to the end of the next row, and return whose it was."""
        self.now, rows = self.find_next_end(), self.rows
        end, owner, begun = heappop(self._rows)
        self.tokens += (end - self._tick) * rows
        self._tick, self._begun = end, self._begun - begun
        return owner

    def advance(self, now: float) -> None:
        """Advance to a time at which no row has ended yet."""
        left, self.now = max(0.0, now - self.now), max(now, self.now)
        if self._rows:
            ticks = left / self.cost.compute_token_seconds(self.rows, self.positions)
            ticks = min(ticks, self._rows[0][0] - self._tick)
            self._tick += ticks
            self.tokens += ticks * self.rows

    def interrupt(self, seconds: float) -> None:
        """Wait for new weights, and compute the cache of all rows again."""
        self.now += seconds + self.cost.compute_prefill_seconds(self.positions, self.rows)


def compute_generation_seconds(
    lengths: Sequence[int] | Int[np.ndarray, " N"], questions: int, engines: int, cost: DecodeCost
) -> float:
    """Compute how long engines take for a rollout that all of them begin together.

    Answers are dealt out in turn, as nobody knows their lengths; the last engine decides.

    Args:
        lengths: Of the answers.
        questions: Each prompt is computed once.
        engines: Side by side.
        cost: Of one engine.
    """
    prefill = cost.compute_prefill_seconds(cost.prompt * questions / engines, max(1, questions // engines))
    return prefill + max(_write(lengths[first::engines], cost) for first in range(min(engines, len(lengths))))


def _write(lengths: Sequence[int] | Int[np.ndarray, " N"], cost: DecodeCost) -> float:
    engine, waiting = Engine(cost), list(lengths)[::-1]
    while waiting or engine.rows:
        while waiting and engine.rows < cost.max_rows:
            engine.add(0, int(waiting.pop()))
        engine.finish_next()
    return engine.now
