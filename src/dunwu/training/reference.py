"""The reference of the KL term: the policy as the stage began, or as it was at the last refresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dunwu.training.learned_weights import LearnedWeights, copy_weights
from dunwu.training.rank_group import RankGroup
from dunwu.training.tensor_files import has_tensors, load_tensors

FILE = "reference"


class Reference:
    """A policy that does not learn. An adapter's is the base itself until it is refreshed, then a copy of the adapter.

    Attributes:
        model: What log-probabilities are computed with.

    Args:
        weights: the policy's.
        ranks: who holds them.
    """

    def __init__(self, weights: LearnedWeights, ranks: RankGroup) -> None:
        self.model: Any = weights.begin_reference()
        self._weights, self._ranks = weights, ranks

    def refresh(self) -> None:
        """Make the policy as it is the reference."""
        self.model = None  # two copies at a time would be one too many
        self.model = self._weights.copy_model()

    def save(self, folder: Path) -> None:
        """Write what differs from the stage's first model; a base that is the reference itself is not written."""
        if kept := self._weights.list_learned(self.model):
            self._ranks.save_tensors(kept, folder / FILE)

    def load(self, folder: Path) -> None:
        """Take back what ``save`` wrote."""
        if has_tensors(folder / FILE):
            self.refresh()
            copy_weights(self.model, load_tensors(folder / FILE, self._weights.list_learned(self.model)))
