"""One process per run directory."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from dunwu.errors import UserError
from dunwu.runs.atomic import translate_errors

TRIES, PAUSE_SECONDS = 20, 0.01
"""How often, and after which pauses, a lock is tried that a reader may hold while it looks (:func:`is_held`)."""


def is_held(directory: Path) -> bool | None:
    """Return whether a process holds the lock of a run directory; None where this file system cannot say."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)  # which gives a shared lock back
    return False


class DirectoryLock:
    """An exclusive flock on DIR/lock, whose text (``PID HOST``) says to others who holds it.

    The kernel gives it back when the process ends in whatever way, so a file left by a killed process blocks nobody.
    Children made by fork drop their copy: a worker that outlives a killed run does not hold its directory.

    Raises:
        UserError: Another process holds the lock; names it.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        with translate_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _take(descriptor)
        except BlockingIOError:
            holder = os.read(descriptor, 256).decode(errors="replace").split()
            os.close(descriptor)
            pid, host = holder if len(holder) == 2 else ("unknown", "unknown host")
            raise UserError(f"process {pid} on {host} is using this run directory", file=directory) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        self._descriptor: int | None = descriptor
        os.register_at_fork(after_in_child=self._close)

    def release(self) -> None:
        """Give the lock back; twice is no error."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        """Drop the descriptor; in a child it is a copy, and the lock stays its parent's."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _take(descriptor: int) -> None:
    """Take the lock, waiting while a reader looks at it. Raises BlockingIOError where another process keeps it."""
    for tries_left in reversed(range(TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not tries_left:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return
