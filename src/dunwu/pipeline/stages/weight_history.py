"""The weights of the last few rollouts: what a rollout is written with when generating lags behind."""

from __future__ import annotations

from pathlib import Path

from dunwu.models.weights import WeightUpdate, load_update, store_update
from dunwu.rollout.weight_folder import WeightFolder

FOLDER = "earlier-weights"
"""Of a checkpoint; the trainer's own files beside it have other names."""


class WeightHistory:
    """The newest weights, and those before it, by how many rollouts they have learnt from.

    Args:
        staleness: how many there are before the newest; 0: nothing is kept.
    """

    def __init__(self, staleness: int) -> None:
        self._staleness = staleness
        self._folder = WeightFolder(keep=staleness + 1)
        self._updates: dict[int, WeightUpdate] = {}

    def add(self, rollouts: int, update: WeightUpdate) -> None:
        """Keep weights, and forget what no rollout will be written with.

        Args:
            rollouts: that they have learnt from.
            update: the weights; they are copied.

        Raises:
            Fault: the file system refuses.
        """
        if self._staleness:
            self._updates[rollouts] = self._folder.store(update)
            self._updates.pop(rollouts - self._staleness - 1, None)

    def find(self, rollouts: int) -> WeightUpdate:
        """Return the weights that have learnt from so many rollouts."""
        return self._updates[rollouts]

    def save(self, folder: Path, rollouts: int) -> None:
        """Write into a checkpoint the weights before its own.

        Args:
            folder: the checkpoint's.
            rollouts: that its own weights have learnt from.
        """
        before = {number: update for number, update in self._updates.items() if number < rollouts}
        if before:
            (folder / FOLDER).mkdir()
        for number, update in before.items():
            store_update(update, folder / FOLDER, f"rollout-{number:06d}.safetensors")

    def load(self, folder: Path) -> None:
        """Take back what ``save`` wrote."""
        for path in sorted((folder / FOLDER).glob("rollout-*.safetensors")):
            self.add(int(path.stem.removeprefix("rollout-")), load_update(path))

    def close(self) -> None:
        """Remove the files."""
        self._folder.close()
