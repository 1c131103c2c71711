"""Whoever computes a step together: one process, or several ranks that each hold a shard of the model.

Every rank goes through the same calls of a trainer, on a share of each batch. What they must know of each other goes
through this face, so no trainer asks how many they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor

from dunwu.algorithms.batching import make_buckets
from dunwu.config.schema import AdapterSpec
from dunwu.models.policy import Policy
from dunwu.training.learned_weights import LearnedWeights, choose_weights
from dunwu.training.tensor_files import save_tensors

PartT = TypeVar("PartT")


class RankGroup(Protocol):
    """The ranks of a trainer, seen from one of them.

    Attributes:
        checks_parts: whether a loss and a gradient are looked at behind every microbatch, or once a step.
    """

    checks_parts: bool

    def choose_weights(self, policy: Policy, adapter: AdapterSpec | None, seed: int) -> LearnedWeights:
        """Choose what of a policy learns, and lay it out over the ranks; see ``learned_weights.choose_weights``."""

    def gather(self, own: PartT) -> list[PartT]:
        """Return what each rank brings, in the order of the ranks. All of them call it."""

    def share_buckets(self, lengths: Sequence[int], budget: int) -> list[list[int]]:
        """Cut a batch that every rank has into buckets, and return this rank's; see ``dealing.deal_buckets``.

        Args:
            lengths: tokens of each sequence, the same on every rank.
            budget: tokens of a bucket.
        """

    def even_out(self, buckets: list[list[int]]) -> list[list[int]]:
        """Add empty buckets until every rank has as many: all make the same forward passes. All of them call it."""

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Add up, in place, gradients of parameters that every rank holds whole. All of them call it."""

    def own_part(self, tensor: Tensor) -> Tensor:
        """Return what of a parameter's tensor lies in this process, without copying."""

    def whole(self, tensor: Tensor) -> Tensor:
        """Return all of a tensor whose parts lie in the ranks. All of them call it."""

    def save_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Write tensors for ``tensor_files.load_tensors``; ``path`` has no suffix. All ranks call it."""

    def is_first(self) -> bool:
        """Whether this rank writes what is to be written once."""


class OneRank:
    """See ``RankGroup``: this process alone."""

    checks_parts = True

    def choose_weights(self, policy: Policy, adapter: AdapterSpec | None, seed: int) -> LearnedWeights:
        """See ``RankGroup``."""
        return choose_weights(policy, adapter, seed)

    def gather(self, own: PartT) -> list[PartT]:
        """See ``RankGroup``."""
        return [own]

    def share_buckets(self, lengths: Sequence[int], budget: int) -> list[list[int]]:
        """See ``RankGroup``."""
        return make_buckets(lengths, range(len(lengths)), budget)

    def even_out(self, buckets: list[list[int]]) -> list[list[int]]:
        """See ``RankGroup``."""
        return buckets

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """See ``RankGroup``."""

    def own_part(self, tensor: Tensor) -> Tensor:
        """See ``RankGroup``."""
        return tensor

    def whole(self, tensor: Tensor) -> Tensor:
        """See ``RankGroup``."""
        return tensor

    def save_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        """See ``RankGroup``."""
        save_tensors(tensors, path)

    def is_first(self) -> bool:
        """See ``RankGroup``."""
        return True


ONE_RANK = OneRank()
