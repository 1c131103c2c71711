"""Processes that answer lines of JSON with lines of JSON and can be killed at any time, and places that hold them."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

GOING_SECONDS = 1.0
"""Between a process's last word and its end."""


class WorkerLost(Exception):  # noqa: N818  -- a finding
    """Two processes in a row died or fell silent over one request, for no reason of its own."""


class LineProcess:
    """Started at construction, in a process group of its own, and not waited for."""

    def __init__(self, command: Sequence[str]) -> None:
        self._unread = b""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the parent's to handle
            bufsize=0,
        )

    def ask(self, request: object, seconds: float) -> Any:
        """The reply to a request. Raises EOFError where the process is dead, or silent for so long."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
        except BrokenPipeError:
            raise EOFError from None
        return self.line(seconds)

    def line(self, seconds: float) -> Any:
        """The next line. Raises EOFError where the process is dead, or silent for so long."""
        assert self.process.stdout is not None
        stdout = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise EOFError
            chunk = os.read(stdout, 65536)
            if not chunk:
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(GOING_SECONDS)
                raise EOFError
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def kill(self) -> None:
        """Ends it and what it has started, at once."""
        if self.process.poll() is None:  # what a dead one has started ends when the pipes close
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


P = TypeVar("P", bound=LineProcess)
R = TypeVar("R")


class ProcessPool(Generic[P]):
    """``size`` places for a process each, which ``start`` makes when it is wanted; any thread may use them."""

    def __init__(self, start: Callable[[], P], size: int) -> None:
        self._start, self._size = start, size
        self._closed = False
        self._places: queue.SimpleQueue[P | None] = queue.SimpleQueue()
        for _ in range(size):
            self._places.put(None)

    def use(self, work: Callable[[P], R], lost: str) -> R:
        """What ``work`` gets from a process; from a fresh one where that raises EOFError.

        Raises:
            WorkerLost: it did so twice; ``lost`` says what was lost.
            ValueError: the pool is closed.
        """
        process = keep = self._places.get()
        try:
            if self._closed:
                raise ValueError("the grader is closed")
            for _ in range(2):
                process, keep = process or self._start(), None  # whatever is raised, one that owes a reply is not kept
                try:
                    result = work(process)
                except EOFError:
                    process.kill()
                    process = None
                else:
                    keep = process
                    return result
            raise WorkerLost(lost)
        finally:
            if process is not None and process is not keep:
                process.kill()
            self._places.put(keep)

    def close(self) -> None:
        """Waits for requests under way, then ends every process."""
        self._closed = True
        for process in [self._places.get() for _ in range(self._size)]:
            if process is not None:
                process.kill()
        for _ in range(self._size):
            self._places.put(None)
