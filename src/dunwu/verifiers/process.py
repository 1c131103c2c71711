"""Processes that answer lines of JSON with lines of JSON and can be killed at any time, and places that hold them.

How long a process may take is always said in seconds of its own time (``own_time``), so that no reply depends on what
else the machine does.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from dunwu.own_time import LOOK_SECONDS, OwnTime

STARTUP_SECONDS = 120.0
"""Seconds of its own time until a process that imports libraries or a user's file is ready."""
GOING_SECONDS = 1.0
"""Seconds between a process's last word and its end."""
LONGEST_LINE = 1 << 20
"""Bytes of a reply: numbers and a few words."""
TRIES = 2
PAUSE_SECONDS = 1.0
"""Seconds before another try: what killed a process, or kept it from starting, is often a machine out of memory."""
PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
"""Why a process cannot be started now, though it could be later."""


class WorkerLost(Exception):  # noqa: N818  -- a finding
    """Two processes in a row died or fell silent over one request, for no reason of its own."""


class NoReply(EOFError):  # noqa: N818  -- a finding
    """A process took all the time of its own that it was given, and owes a reply."""


class LineProcess:
    """A process that answers lines; it is started at construction, in a process group of its own, and not waited for.

    Args:
        command: What runs.
        quiet: Whether what it writes to stderr is dropped.

    Raises:
        EOFError: The system is out of processes, memory or files just now.
    """

    def __init__(self, command: Sequence[str], *, quiet: bool = True) -> None:
        self._unread = b""
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if quiet else None,
                start_new_session=True,  # Ctrl-C is the parent's to handle
                bufsize=0,
            )
        except OSError as error:
            if error.errno in PASSING:
                raise EOFError from error
            raise

    def ask(self, request: object, seconds: float) -> Any:
        """Send a request and wait for its reply.

        Args:
            request: Anything that JSON can say.
            seconds: Of the process's own time until the reply.

        Raises:
            EOFError: The process is dead; ``NoReply``: it does not listen and answer so soon.
        """
        assert self.process.stdin is not None
        stdin, own = self.process.stdin.fileno(), OwnTime(self.process.pid)
        data = memoryview(json.dumps(request).encode("ascii") + b"\n")
        while data:
            if own.look() > seconds:
                raise NoReply
            _, writable, _ = select.select([], [stdin], [], LOOK_SECONDS)
            if writable:
                try:
                    data = data[os.write(stdin, data[: select.PIPE_BUF]) :]
                except BrokenPipeError:
                    raise EOFError from None
        return self.read_line(seconds, own)

    def read_line(self, seconds: float, own: OwnTime | None = None) -> Any:
        """Wait for the next line.

        Args:
            seconds: Of the process's own time.
            own: That time, where it has begun before.

        Raises:
            EOFError: The process is dead, or says what is no JSON; ``NoReply``: it says nothing so soon.
        """
        assert self.process.stdout is not None
        stdout, own = self.process.stdout.fileno(), own or OwnTime(self.process.pid)
        pieces = [self._unread]
        while b"\n" not in pieces[-1]:
            if own.look() > seconds:
                raise NoReply
            ready, _, _ = select.select([stdout], [], [], LOOK_SECONDS)
            if ready:
                pieces.append(self._read(stdout))
            if sum(map(len, pieces)) > LONGEST_LINE:
                raise EOFError
        line, _, self._unread = b"".join(pieces).partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            raise EOFError from None

    def _read(self, stdout: int) -> bytes:
        chunk = os.read(stdout, 1 << 20)
        if not chunk:
            with suppress(subprocess.TimeoutExpired):
                if self.process.wait(GOING_SECONDS) == -signal.SIGPROF:
                    raise NoReply
            raise EOFError
        return chunk

    def stop(self) -> None:
        """End it and what it has started, at once; who waits for its reply hears."""
        with suppress(ProcessLookupError):  # also where it is dead itself: its group may not be
            os.killpg(self.process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Stop it, and take back what it held."""
        self.stop()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


P = TypeVar("P", bound=LineProcess)
R = TypeVar("R")


class ProcessPool(Generic[P]):
    """Places for processes; any thread may use them.

    Args:
        start: Makes a process when one is wanted.
        size: How many places there are.
    """

    def __init__(self, start: Callable[[], P], size: int) -> None:
        self._start, self._size = start, size
        self._closed = threading.Event()
        self._working: set[P] = set()
        self._places: queue.SimpleQueue[P | None] = queue.SimpleQueue()
        for _ in range(size):
            self._places.put(None)

    def use(self, work: Callable[[P], R], lost: str) -> R:
        """Return what ``work`` gets from a process; from a fresh one, a moment later, where that raises EOFError.

        Args:
            work: What is done with the process.
            lost: What was lost where it cannot be done, for the error.

        Raises:
            WorkerLost: It raised EOFError ``TRIES`` times.
            ValueError: The pool is closed.
        """
        process = keep = self._places.get()
        pause = 0.0
        try:
            for _ in range(TRIES):
                self._closed.wait(pause)
                try:
                    process, keep = process or self._start(), None  # whatever is raised, one that owes a reply goes
                    self._working.add(process)
                    if self._closed.is_set():
                        raise ValueError("the grader is closed")
                    result = work(process)
                except EOFError as error:
                    if process is not None:
                        self._end(process)
                    process, pause = None, 0.0 if isinstance(error, NoReply) else PAUSE_SECONDS
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
        """End every process, those at work too: nobody waits for their replies any more."""
        self._closed.set()
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
