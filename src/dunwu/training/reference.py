"""The reference of the KL term: the policy as the stage began, or as it was at the last refresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from dunwu.training.learned_weights import LearnedWeights, copy_weights, save_tensors

FILE = "reference.safetensors"


class Reference:
    """A policy that does not learn. An adapter's is the base itself until it is refreshed, then a copy of the adapter.

    Attributes:
        model: What log-probabilities are computed with.

    Args:
        weights: the policy's.
    """

    def __init__(self, weights: LearnedWeights) -> None:
        self.model: Any = weights.begin_reference()
        self._weights = weights

    def refresh(self) -> None:
        """Make the policy as it is the reference."""
        self.model = None  # two copies at a time would be one too many
        self.model = self._weights.copy_model()

    def save(self, folder: Path) -> None:
        """Write what differs from the stage's first model; a base that is the reference itself is not written."""
        if kept := self._weights.list_learned(self.model):
            save_tensors(kept, folder / FILE)

    def load(self, folder: Path) -> None:
        """Take back what ``save`` wrote."""
        if (folder / FILE).is_file():
            self.refresh()
            copy_weights(self.model, load_file(folder / FILE))
