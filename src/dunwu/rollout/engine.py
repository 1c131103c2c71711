"""The face of every rollout engine: what the pipeline, the evaluation and the tests see of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from dunwu.types import Completion, GenerationRequest, Sampling

WeightSource = Callable[[], Iterable[tuple[str, torch.Tensor]]]
"""Yields (name, tensor) under the names of transformers' ``state_dict``; may be called again."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion wanted: the ``index``-th of request number ``request``."""

    request: int
    index: int


class Engine(Protocol):
    """Generates completions under one version of the policy."""

    @property
    def policy_version(self) -> int:
        """The version that the next completion carries."""

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """Yields every completion that the requests want, in any order, each as soon as it is finished.

        A completion depends on (prompt, seed, sampling, weights) alone, not on what else is in the batch. To close the
        iterator early drops what is unfinished.
        """

    def update_weights(self, version: int, weights: WeightSource) -> None:
        """Takes new weights; the next completion carries ``version``. Not during ``generate``."""

    def close(self) -> None:
        """Gives back the engine's memory; it cannot generate any more."""
