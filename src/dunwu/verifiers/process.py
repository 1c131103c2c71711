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
LONGEST_LINE = 1 << 20
"""Bytes of a reply: numbers and a few words."""


class WorkerLost(Exception):  # noqa: N818  -- a finding
    """Two processes in a row died or fell silent over one request, for no reason of its own."""


class LineProcess:
    """Started at construction, in a process group of its own, and not waited for."""

    def __init__(self, command: Sequence[str], *, quiet: bool = True) -> None:
        self._unread = b""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            start_new_session=True,  # Ctrl-C is the parent's to handle
            bufsize=0,
        )

    def ask(self, request: object, seconds: float) -> Any:
        """The reply to a request. Raises EOFError where the process is dead, or does not listen and answer so soon."""
        assert self.process.stdin is not None
        deadline = time.monotonic() + seconds
        data = memoryview(json.dumps(request).encode("ascii") + b"\n")
        while data:
            _, writable, _ = select.select([], [self.process.stdin], [], max(0.0, deadline - time.monotonic()))
            if not writable:
                raise EOFError
            try:
                data = data[os.write(self.process.stdin.fileno(), data[: select.PIPE_BUF]) :]
            except BrokenPipeError:
                raise EOFError from None
        return self.line(deadline - time.monotonic())

    def line(self, seconds: float) -> Any:
        """The next line. Raises EOFError where the process is dead, or says no line of JSON so soon."""
        assert self.process.stdout is not None
        stdout = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        pieces = [self._unread]
        while b"\n" not in pieces[-1]:
            readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable or sum(map(len, pieces)) > LONGEST_LINE:
                raise EOFError
            chunk = os.read(stdout, 1 << 20)
            if not chunk:
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(GOING_SECONDS)
                raise EOFError
            pieces.append(chunk)
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            raise EOFError from None

    def stop(self) -> None:
        """Ends it and what it has started, at once; who waits for its reply hears."""
        with suppress(ProcessLookupError):  # also where it is dead itself: its group may not be
            os.killpg(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """``stop``, and takes back what it held."""
        self.stop()
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
        self._working: set[P] = set()
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
            for _ in range(2):
                process, keep = process or self._start(), None  # whatever is raised, one that owes a reply is not kept
                self._working.add(process)
                if self._closed:
                    raise ValueError("the grader is closed")
                try:
                    result = work(process)
                except EOFError:
                    self._end(process)
                    process = None
                else:
                    self._working.discard(process)
                    keep = process
                    return result
            raise WorkerLost(lost)
        finally:
            if process is not None and process is not keep:
                self._end(process)
            self._places.put(keep)

    def close(self) -> None:
        """Ends every process, those at work too: nobody waits for their replies any more."""
        self._closed = True
        for process in list(self._working):
            process.stop()
        for idle in [self._places.get() for _ in range(self._size)]:
            if idle is not None:
                idle.kill()
        for _ in range(self._size):
            self._places.put(None)

    def _end(self, process: P) -> None:
        self._working.discard(process)
        process.kill()
