"""Rollouts that stream: engines never drain, and a trainer learns from whatever is finished first."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heapreplace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from dunwu.planning.simulator.decode import DecodeCost, Engine
from dunwu.planning.simulator.records import Costs, Layout, Work
from dunwu.planning.simulator.training import compute_forward_seconds, compute_update_seconds


class Streamed(NamedTuple):
    """What a streaming cluster did.

    Attributes:
        ends: When each version of the weights was there, in seconds.
        update: Seconds of the updates of each version, forward passes included.
        tokens: That engines wrote.
        finished: Tokens of the answers that were finished.
    """

    ends: list[float]
    update: list[float]
    tokens: float
    finished: int


class Stream:
    """Engines and a trainer, advanced from event to event.

    Groups that were begun are never more than (versions + 1 + max_staleness) rollouts: what verl calls its staleness
    threshold, AReaL eta, NeMo-RL the age of a trajectory.
    """

    def __init__(self, work: Work, layout: Layout, costs: Costs, sync: float, seed: int) -> None:
        """Begin with weights of version 0 and nothing written.

        Args:
            work: What a step does.
            layout: Where.
            costs: What that costs.
            sync: Seconds of one change of weights.
            seed: Draws lengths and minibatches.
        """
        self._work, self._layout, self._costs, self._sync = work, layout, costs, sync
        self._lengths_rng, self._cuts_rng = np.random.default_rng(seed).spawn(2)
        cost = DecodeCost(work, layout, costs)
        self._engines = [Engine(cost) for _ in range(layout.engines)]
        self.lengths: list[Int[np.ndarray, " N"]] = []  # of each group that was begun
        self.missing: list[int] = []  # answers of each group that are not finished
        self._waiting: deque[tuple[int, int]] = deque()
        self.ready: deque[int] = deque()
        self._part, self._busy = 0, float("inf")
        self._update = 0.0
        self._done = Streamed([], [], 0.0, 0)

    def run(self, versions: int) -> Streamed:
        """Advance until the weights have changed so many times."""
        self._begin_groups()
        self._fill_engines()
        ends = [engine.find_next_end() for engine in self._engines]
        while len(self._done.ends) < versions:
            first = ends.index(min(ends))
            if self._busy <= ends[first]:
                self._end_part(self._busy)
                ends = [engine.find_next_end() for engine in self._engines]
                continue
            engine = self._engines[first]
            self._finish(engine.finish_next())
            self._refill(engine)
            ends[first] = engine.find_next_end()
            self._start_part(engine.now)
        written = sum(engine.tokens for engine in self._engines)
        finished = sum(int(one.sum()) for one, left in zip(self.lengths, self.missing, strict=True) if not left)
        return self._done._replace(tokens=written, finished=finished)

    def _begin_groups(self) -> None:
        """Draw the groups that may be begun by now."""
        allowed = (len(self._done.ends) + 1 + self._layout.max_staleness) * self._work.questions
        while len(self.lengths) < int(allowed):
            lengths = self._work.lengths.draw(self._lengths_rng, self._work.group_size)
            self._waiting += [(len(self.lengths), int(length)) for length in lengths]
            self.lengths.append(lengths)
            self.missing.append(len(lengths))

    def _fill_engines(self) -> None:
        """Give waiting answers to the engine with the fewest, while any has room."""
        loads = [(engine.rows, place) for place, engine in enumerate(self._engines)]
        heapify(loads)
        while self._waiting and loads[0][0] < self._engines[0].cost.max_rows:
            rows, place = loads[0]
            self._engines[place].add(*self._waiting.popleft())
            heapreplace(loads, (rows + 1, place))

    def _refill(self, engine: Engine) -> None:
        while self._waiting and engine.rows < engine.cost.max_rows:
            engine.add(*self._waiting.popleft())

    def _finish(self, group: int) -> None:
        self.missing[group] -= 1
        if not self.missing[group]:
            self.ready.append(group)

    def _start_part(self, now: float) -> None:
        """Have an idle trainer learn from the next part of a rollout, if there is one."""
        needed = self._work.questions // self._layout.parts
        if self._busy < float("inf") or len(self.ready) < needed:
            return
        lengths = np.concatenate([self.lengths[self.ready.popleft()] for _ in range(needed)])
        seconds = compute_forward_seconds(lengths, self._work, self._layout, self._costs)
        minibatches = max(1, self._work.minibatches // self._layout.parts)
        seconds += compute_update_seconds(
            lengths, self._work, self._layout, self._costs, self._cuts_rng, minibatches=minibatches
        )
        self._busy, self._update = now + seconds, self._update + seconds

    def _end_part(self, now: float) -> None:
        """Change the weights after the last part: engines stop, and go on with more groups."""
        self._busy, self._part = float("inf"), self._part + 1
        if self._part == self._layout.parts:
            self._done.ends.append(now + self._sync)
            self._done.update.append(self._update)
            self._part, self._update = 0, 0.0
            for engine in self._engines:
                engine.advance(now)
                engine.interrupt(self._sync)
            self._begin_groups()
            self._fill_engines()
            now += self._sync
        self._start_part(now)
