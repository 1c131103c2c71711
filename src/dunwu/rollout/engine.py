"""The face of every rollout engine: what the pipeline, the evaluation and the tests see of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dunwu.models.weights import WeightUpdate
from dunwu.types import Completion, GenerationRequest, Sampling

if TYPE_CHECKING:  # it loads transformers
    from dunwu.models.policy import Policy


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
        """Yield every completion that the requests want, in any order, each as soon as it is finished.

        A completion depends on (prompt, seed, sampling, weights) alone, not on what else is in the batch. Whoever
        closes the iterator early drops what is unfinished.
        """

    def update_weights(self, update: WeightUpdate) -> None:
        """Take new weights; the next completion carries their version. Not during ``generate``.

        Raises:
            ValueError: they are not this model's; the engine goes on with the old ones.
        """

    def close(self) -> None:
        """Give back the memory; the engine cannot generate any more."""


class EngineBuilder(Protocol):
    """What a name of an engine leads to (``dunwu.registry.engines``): a function that builds it.

    The engine starts with the policy's weights, which it copies or reads: the trainer changes them in place.
    """

    def __call__(self, policy: Policy, *, max_sequences: int) -> Engine:
        """Build the engine that generates with a policy.

        Args:
            policy: model and tokenizer, on their device.
            max_sequences: completions that decode at once, at most.
        """
