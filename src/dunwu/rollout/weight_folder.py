"""Where new weights lie for workers of this machine: a folder that goes with the run, in memory where there is room."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections import deque
from contextlib import suppress
from pathlib import Path

from dunwu.models.weights import FileSource, WeightUpdate, store_update

MEMORY = Path("/dev/shm")
PREFIX = "dunwu-weights-"
LOCK = "in-use"
ROOM = 2
"""Versions of the weights for which there must be room in memory beside those that are kept."""


class WeightFolder:
    """Writes each version of the weights once for all who read it, and keeps the newest.

    A run that is killed leaves its folder; the next run removes it, since nobody holds its lock.

    Args:
        keep: how many.
    """

    def __init__(self, keep: int = 1) -> None:
        self._keep, self._kept = keep, deque[Path]()
        self._folder: Path | None = None
        self._lock = -1
        self._written = 0

    def publish(self, update: WeightUpdate) -> WeightUpdate:
        """Return an update as processes of this machine can read it: as it is, where it lies in a file already.

        Args:
            update: new weights.

        Raises:
            Fault: see ``store``.
        """
        return update if isinstance(update.source, FileSource) else self.store(update)

    def store(self, update: WeightUpdate) -> WeightUpdate:
        """Write an update into a file, and remove the oldest where there are too many.

        Args:
            update: new weights.

        Returns:
            The update with the file as its source.

        Raises:
            Fault: the file system refuses.
        """
        if self._folder is None:
            self._folder = self._open(sum(tensor.nbytes for _, tensor in update.read()))
        self._written += 1
        name = f"{self._written:06d}.safetensors"
        published = store_update(update, self._folder, name)
        self._kept.append(self._folder / name)
        if len(self._kept) > self._keep:
            self._kept.popleft().unlink()
        return published

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._folder = None

    def _open(self, size: int) -> Path:
        for place in (MEMORY, Path(tempfile.gettempdir())):
            remove_abandoned(place)
        in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > (self._keep + ROOM) * size
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=MEMORY if in_memory else None))
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return folder


def remove_abandoned(place: Path) -> None:
    """Remove the folders of runs that are there no more."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, one that is just made, or in use
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(descriptor)
