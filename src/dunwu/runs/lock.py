"""One process per run directory."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from dunwu.errors import UserError
from dunwu.runs.atomic import translate_errors

TRIES, PAUSE_SECONDS = 20, 0.01
"""How often, and after which pauses, a lock is tried that a reader may hold while it looks (:func:`is_held`)."""
ENDING_TRIES = 1000
"""The same of a lock whose holder has gone: a process that ended with it may still give its memory back."""


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

    Args:
        directory: The run directory.
        holder: The process that others are shown as the one that holds it; None: this one.

    Raises:
        UserError: Another process holds the lock; names it.
    """

    def __init__(self, directory: Path, holder: int | None = None) -> None:
        path = directory / "lock"
        with translate_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _take(descriptor)
        except BlockingIOError:
            pid, host = _read_holder(descriptor)
            os.close(descriptor)
            raise UserError(f"process {pid} on {host} is using this run directory", file=directory) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{holder or os.getpid()} {socket.gethostname()}\n".encode(), 0)
        self._descriptor: int | None = descriptor
        os.register_at_fork(after_in_child=self._close)

    def fileno(self) -> int:
        """Return the file's descriptor: another process that gets it holds the lock, too."""
        assert self._descriptor is not None
        return self._descriptor

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
    """Take the lock, waiting while a reader looks at it, or while processes end that held it.

    Raises:
        BlockingIOError: Another process keeps it.
    """
    for tried in count(1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if tried >= TRIES and (tried >= ENDING_TRIES or not _has_gone(*_read_holder(descriptor))):
                raise
        time.sleep(PAUSE_SECONDS)


def _read_holder(descriptor: int) -> tuple[str, str]:
    """Return the number and the host of the process that holds a lock, as it wrote them."""
    words = os.pread(descriptor, 256, 0).decode(errors="replace").split()
    return (words[0], words[1]) if len(words) == 2 else ("unknown", "unknown host")


def _has_gone(pid: str, host: str) -> bool:
    """Return whether a process has ended, be it that nobody has asked how; False where that cannot be found out."""
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1] == ["Z"]
    return False
