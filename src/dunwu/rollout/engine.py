"""The face of every rollout engine: what the pipeline, the evaluation and the tests see of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import torch

from dunwu.types import GenerationRequest, RolloutGroup, Sampling

WeightSource = Callable[[], Iterable[tuple[str, torch.Tensor]]]
"""Yields (name, tensor) under the names of transformers' ``state_dict``; may be called again."""


class Engine(Protocol):
    """Generates completions under one version of the policy."""

    @property
    def policy_version(self) -> int:
        """The version that the next completion carries."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: Sampling) -> Iterator[RolloutGroup]:
        """Yields one group for each request, in any order, as soon as all its completions are finished.

        A completion depends on (prompt, seed, sampling, weights) alone, not on what else is in the batch. To close the
        iterator early drops what is unfinished.
        """

    def update_weights(self, version: int, weights: WeightSource) -> None:
        """Takes new weights; the next completion carries ``version``. Not during ``generate``."""

    def close(self) -> None:
        """Gives back the engine's memory; it cannot generate any more."""
