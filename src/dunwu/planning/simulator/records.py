"""What is simulated: a step's work, where it runs, and what the work is taken to cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Final

import numpy as np
from jaxtyping import Int

from dunwu.models.shape import ModelShape
from dunwu.planning.accelerators import Accelerator

KV_BYTES: Final = 2
"""Of one value of the cache, and of one weight unless the work says otherwise: bfloat16."""


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """How long answers are: a log-normal distribution that ends at a cap, where many of its values may lie.

    Attributes:
        mean: Tokens of an answer, after the cap.
        sigma: Standard deviation of the logarithm before the cap, the skew: 0 makes all answers alike.
        cap: Tokens at most.
        prompt: Tokens of a prompt.
    """

    mean: float
    sigma: float
    cap: int
    prompt: int

    @cached_property
    def median(self) -> float:
        """The median before the cap that gives the mean after it."""
        if self.sigma == 0 or self.mean >= self.cap:
            return min(self.mean, self.cap)
        low, high = math.log(self.mean) - self.sigma**2, math.log(self.cap) + 9 * self.sigma
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._mean_of(middle) < self.mean else (low, middle)
        return math.exp(low)

    def draw(self, rng: np.random.Generator, count: int) -> Int[np.ndarray, " N"]:
        """Draw the lengths of so many answers, each by itself."""
        lengths = self.median * np.exp(self.sigma * rng.standard_normal(count))
        return np.clip(np.rint(lengths), 1, self.cap).astype(np.int64)

    def _mean_of(self, location: float) -> float:
        """Compute E[min(X, cap)] where log X is normal."""
        normal, edge = NormalDist(), (math.log(self.cap) - location) / self.sigma
        below = math.exp(location + self.sigma**2 / 2) * normal.cdf(edge - self.sigma)
        return below + self.cap * (1 - normal.cdf(edge))


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one rollout and its updates do.

    Attributes:
        shape: The model.
        questions: Of a rollout.
        group_size: Answers to each.
        lengths: Of the answers.
        minibatches: Updates that share the rollout.
        forward_passes: Passes without gradient: old log-probabilities, reference.
        training_passes: Forward passes that learning from a token is worth: 3, or 4 with checkpointing.
        weight_bytes: Of one weight in the engine.
    """

    shape: ModelShape
    questions: int
    group_size: int
    lengths: Lengths
    minibatches: int
    forward_passes: int = 1
    training_passes: int = 4
    weight_bytes: float = KV_BYTES

    @property
    def answers(self) -> int:
        """Answers of a rollout."""
        return self.questions * self.group_size


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the work runs.

    ``colocated`` devices roll out, then train; others do one thing only, and then rollout k is written by version
    k - ``max_staleness`` of the weights or a later one. A share of a rollout is a staleness, too.

    Attributes:
        accelerator: One device.
        rollout_devices: Devices that generate.
        trainer_devices: Devices that learn; the same ones where ``colocated``.
        engine_devices: Devices that hold one copy of the weights to generate.
        rank_devices: Devices that hold one sequence to learn from it (tensor, sequence and pipeline parallel).
        colocated: The same devices do both, by turns.
        max_staleness: Rollouts that may be begun before the weights that they should have.
        streams: Partial rollouts: answers go on over a change of weights, and who is done first is learnt from first.
        parts: A streaming trainer waits for such a part of the rollout, not for all of it.
        max_rows: Answers that an engine decodes at once, at most.
    """

    accelerator: Accelerator
    rollout_devices: int
    trainer_devices: int
    engine_devices: int = 1
    rank_devices: int = 1
    colocated: bool = False
    max_staleness: float = 0
    streams: bool = False
    parts: int = 1
    max_rows: int = 1024

    @property
    def engines(self) -> int:
        """Copies of the weights that generate side by side."""
        return max(1, self.rollout_devices // self.engine_devices)

    @property
    def ranks(self) -> int:
        """Sequences that are learnt from side by side."""
        return max(1, self.trainer_devices // self.rank_devices)

    @property
    def devices(self) -> int:
        """All devices."""
        return self.rollout_devices if self.colocated else self.rollout_devices + self.trainer_devices


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the work is taken to cost; ``fitted.py`` has the values and where they come from.

    Attributes:
        train_share: Of a device's products at most that learning reaches.
        forward_share: The same without gradient.
        decode_share: Of products and of bandwidth that decoding reaches.
        layer_seconds: Of each layer and decoded token, whatever the batch: launches, reductions, the host.
        sync_bandwidth: Bytes a second at which new weights reach the engines.
    """

    train_share: float
    forward_share: float
    decode_share: float
    layer_seconds: float
    sync_bandwidth: float


@dataclass(frozen=True, kw_only=True)
class Failures:
    """How often a device fails, and what that costs.

    Attributes:
        hours_between: Mean hours between failures of one device.
        restart_seconds: Until all of them work again.
    """

    hours_between: float
    restart_seconds: float
