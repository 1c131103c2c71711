"""The parent of a command that works in a child process (``cli/supervisor.py``), as the child sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dunwu.pipeline.interrupts import PASSED_ON, SIGNALS

if TYPE_CHECKING:
    from dunwu.runs.lock import DirectoryLock

LOOK_SECONDS = 1.0
"""Between looks for a parent, where the system does not say that it has gone."""


class Parent:
    """The process that owns signals and lock, by a channel to it.

    Args:
        channel: To a parent process; None: this process owns them itself.
    """

    def __init__(self, channel: socket.socket | None = None) -> None:
        self._channel = channel

    @property
    def signals(self) -> tuple[signal.Signals, ...]:
        """Those by which this process is asked to stop; of a child's group, Ctrl-C is its parent's business."""
        return (signal.SIGTERM, signal.SIGHUP, PASSED_ON) if self._channel else SIGNALS

    def take_lock(self, directory: Path) -> DirectoryLock:
        """Take the lock of a run directory such that it is free only when both processes are gone.

        Raises:
            UserError: Another process holds it.
        """
        from dunwu.runs.lock import DirectoryLock

        if self._channel is None:
            return DirectoryLock(directory)
        lock = DirectoryLock(directory, holder=os.getppid())
        message = json.dumps({"holds": str(directory.absolute())}).encode() + b"\n"
        answered = b""
        with suppress(OSError):
            socket.send_fds(self._channel, [message], [lock.fileno()])
        with suppress(OSError):
            answered = self._channel.recv(1)
        if not answered:
            _end()
        return lock

    @contextmanager
    def letting_go(self) -> Iterator[None]:
        """Say, after the block, that this process holds no lock any more."""
        try:
            yield
        finally:
            self._say({"holds": None})

    def say_writing(self, writing: bool) -> None:
        """Say that something is being written that a stop waits for, or is no more."""
        self._say({"writes": writing})

    def say_end(self, code: int) -> None:
        """Say that this process ends, and all has been said of it.

        Args:
            code: Its exit code.
        """
        self._say({"ends": code})

    def _say(self, message: dict[str, object]) -> None:
        if self._channel is not None:
            with suppress(OSError):
                self._channel.sendall(json.dumps(message).encode() + b"\n")


_parent = Parent()


def find_parent() -> Parent:
    """Return the parent of this process; where nothing connected it, that is the process itself."""
    return _parent


def connect(descriptor: int) -> Parent:
    """Connect this process with its parent, and have it end when that does.

    Args:
        descriptor: A socket to the parent; processes that this one starts do not get it.

    Returns:
        The parent.
    """
    global _parent
    os.set_inheritable(descriptor, False)
    _parent = Parent(socket.socket(fileno=descriptor))
    if sys.platform == "linux":
        from dunwu.sandbox.kernel import PR_SET_PDEATHSIG, prctl

        # Also one that is stopped, or deep in native code. A parent that was gone before answers no request for a lock.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(os.getppid(),), name="parent", daemon=True).start()
    return _parent


def _watch(parent: int) -> NoReturn:
    """End the process when its parent has gone."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    _end()


def _end() -> NoReturn:
    """End the process as its parent ended: nothing is cleaned up, and nobody is there to hear why."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("killed")
