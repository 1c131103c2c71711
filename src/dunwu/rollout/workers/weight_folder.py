"""Where new weights lie for workers of this machine: a folder that goes with the run, in memory where there is room."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from dunwu.models.weights import FileSource, WeightUpdate, name_file, store_update

MEMORY = Path("/dev/shm")
PREFIX = "dunwu-weights-"
LOCK = "in-use"
ROOM = 3
"""Times the size of the weights that must be free in memory: two versions at once, and some air."""


class WeightFolder:
    """Writes each version of the weights once for all workers, and keeps the newest.

    A run that is killed leaves its folder; the next run removes it, since nobody holds its lock.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = -1

    def publish(self, update: WeightUpdate) -> WeightUpdate:
        """Write an update into a file, and remove the one before.

        Args:
            update: new weights; where a file is their source already, it stays where it is.

        Returns:
            The update as workers can read it.

        Raises:
            Fault: the file system refuses.
        """
        if isinstance(update.source, FileSource):
            return update
        if self._folder is None:
            self._folder = self._open(sum(tensor.nbytes for _, tensor in update.read()))
        before = set(self._folder.glob("version-*"))
        published = store_update(update, self._folder)
        for path in before:
            if path.name != name_file(update.version):
                path.unlink()
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
        in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM * size
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
