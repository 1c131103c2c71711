"""The near end of the sandbox: opens cells, runs programs in them, and outlives whatever dies.

    Sandbox.open() -> Session       a cell of one's own, until it is closed
    Session.run(source, stdin)      a whole program                        -> Outcome
    Session.start, say, serve       a program that stays, line by line     -> a line, or the Outcome that ends it

Threads may share a Sandbox; a session belongs to one thread.
"""

from __future__ import annotations

import json
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from dunwu.sandbox import cgroups, filesystem, kernel
from dunwu.sandbox.records import PATIENCE, SLOWDOWN, Limits, Outcome, Unavailable

T = TypeVar("T")

STARTUP_SECONDS = 60.0
SLACK_SECONDS = 60.0
"""Beyond all of a program's time, before its cell is taken for dead: it may have had no processor meanwhile."""
CHECK_SECONDS = 1.0
"""Seconds between two looks at whoever started a cell that is silent."""
CELL_BYTES, ZYGOTE_BYTES = 64 << 20, 256 << 20
"""Memory that a cell and the zygote may have beside their programs'."""
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
"""All that programs find. Threads, and a memory arena for each, would use up their address space."""
TRIES = 3
BIRTHS = 3
"""Zygotes in a row that may be killed before one is given up."""
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Launcher(Protocol):
    """Starts cells: the zygote, bubblewrap, or a plain process."""

    def open(self, place: int, limits: Limits) -> socket.socket:
        """Open a cell, which begins when the last one in its place has ended, and return the near end of its socket.

        Raises:
            Unavailable: There can be none.
        """

    def check(self, place: int) -> None:
        """Check that what a cell hangs on was not stopped from outside; else that is ended.

        Raises:
            Unavailable: It was.
        """

    def close(self) -> None:
        """End everything that was started; nothing starts after that."""


def retry(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, done again where the sandbox fails.

    Raises:
        Unavailable: It failed ``TRIES`` times.
    """
    for _ in range(TRIES):
        try:
            return work()
        except Unavailable as error:
            reason = str(error)
    raise Unavailable(f"the sandbox failed {TRIES} times: {reason}")


def build_command(module: str, *arguments: str) -> list[str]:
    """Build a command that runs a module of this package: no site packages, nothing of the environment."""
    start = (
        f"import sys; sys.path.insert(0, {PACKAGE!r}); import runpy; runpy.run_module({module!r}, run_name='__main__')"
    )
    return [os.path.realpath(sys.executable), "-I", "-S", "-c", start, *arguments]


class ZygoteLauncher:
    """Tier 1. It starts its process at the first cell, and again whenever that has died.

    Args:
        places: Cells at once.
        limits: The largest that programs will have; all of them together are bounded by it where that is possible.
        libraries: Directories that programs may read beside the standard library.
    """

    def __init__(self, places: int, limits: Limits, libraries: Sequence[str] = ()) -> None:
        self._count = places
        self._environment = ENVIRONMENT | filesystem.grant_libraries(libraries)
        self._memory = places * (limits.memory_bytes + limits.file_bytes + CELL_BYTES) + ZYGOTE_BYTES
        self._processes = places * (limits.threads + 2) + 2
        self._groups: list[Path] = []
        self._lock = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None

    def open(self, place: int, limits: Limits) -> socket.socket:
        """See ``Launcher``."""
        with self._lock:
            if self._closed:
                raise Unavailable("the sandbox is closed")
            for _ in range(BIRTHS):
                try:
                    return self._open(place, limits)
                except (ConnectionError, TimeoutError):
                    self._end()
            raise Unavailable("the zygote dies as soon as it is asked for a cell")

    def check(self, place: int) -> None:
        """See ``Launcher``. A cell that is stopped the zygote kills by itself."""
        with self._lock:
            if self._process and kernel.is_stopped(self._process.pid):
                self._end()
                raise Unavailable("the zygote was stopped")

    def close(self) -> None:
        """See ``Launcher``."""
        with self._lock:
            self._closed = True
            self._end()

    @property
    def pid(self) -> int | None:
        """The process's, where it has been started."""
        return self._process.pid if self._process else None

    def _open(self, place: int, limits: Limits) -> socket.socket:
        if self._link is None:
            self._start()
        assert self._link is not None
        near, far = socket.socketpair()
        request = {"cell": place, "file_bytes": limits.file_bytes, "files": limits.files}
        with far:
            try:
                socket.send_fds(self._link, [json.dumps(request).encode("ascii")], [far.fileno()])
            except OSError:
                near.close()
                raise
        return near

    def _start(self) -> None:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link = near
        self._groups = cgroups.make(self._memory, self._processes)
        self._process = subprocess.Popen(
            build_command("dunwu.sandbox.zygote", str(far.fileno()), str(self._count), *map(str, self._groups)),
            pass_fds=[far.fileno()],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # Ctrl-C is the client's to handle
        )
        far.close()
        self._link.settimeout(STARTUP_SECONDS)
        ready = self._link.recv(4096)
        if not ready:
            raise self._explain_failed_start()

    def _explain_failed_start(self) -> Exception:
        """Say why there is no zygote: killed from outside, which may pass, or something that this machine forbids."""
        assert self._process is not None
        assert self._process.stderr is not None
        lines = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        killed = self._process.wait() < 0
        self._end()
        if killed:
            return ConnectionResetError("the zygote was killed")
        return Unavailable(f"the zygote does not start: {lines[-1] if lines else 'no message'}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stderr is not None
            self._process.stderr.close()
        cgroups.remove(self._groups)
        if self._link is not None:
            self._link.close()
        self._process = self._link = None


class Sandbox:
    """``places`` programs at most at the same time, and as many tests of programs; more callers wait.

    A program and what tests it have cells of two kinds, so that no two pairs wait for each other's. The next cell of a
    place is made ahead.

    Args:
        launcher: Who starts cells; see ``tiers.choose``.
        places: Cells of each kind at once.
    """

    def __init__(self, launcher: Launcher, places: int) -> None:
        self._launcher = launcher
        self._programs, self._tests = (_make_room(range(first, first + places)) for first in (0, places))

    def open(self, limits: Limits) -> AbstractContextManager[Session]:
        """Open a session in a cell of its own, in which nothing of any other has been.

        Args:
            limits: What its programs may use.

        Raises:
            Unavailable: There is no cell to be had.
        """
        return self._session(self._programs, limits)

    def open_test(self, limits: Limits) -> AbstractContextManager[Session]:
        """Open a session for a program that tests one, beside that one's; see ``open``."""
        return self._session(self._tests, limits)

    @contextmanager
    def _session(self, room: queue.SimpleQueue[_Place], limits: Limits) -> Iterator[Session]:
        place = room.get()
        try:
            link = place.take_ready(limits) or self._launcher.open(place.number, limits)
            try:
                yield Session(link, limits, partial(self._launcher.check, place.number))
            finally:
                link.close()
            with suppress(Unavailable):  # then the next one who wants it will hear
                place.limits, place.link = limits, self._launcher.open(place.number, limits)
        finally:
            room.put(place)

    def close(self) -> None:
        """End whatever was started for it."""
        self._launcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Place:
    """Room for a cell, and perhaps one that is there already."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.limits: Limits | None = None
        self.link: socket.socket | None = None

    def take_ready(self, limits: Limits) -> socket.socket | None:
        """Take the cell that was made ahead, where it lives and has these limits."""
        link, self.link = self.link, None
        if link is None:
            return None
        speaks, _, _ = select.select([link], [], [], 0)
        if not speaks and limits == self.limits:
            return link
        link.close()  # a cell says nothing of its own accord: this one is dead
        return None


def _make_room(numbers: Iterable[int]) -> queue.SimpleQueue[_Place]:
    room: queue.SimpleQueue[_Place] = queue.SimpleQueue()
    for number in numbers:
        room.put(_Place(number))
    return room


class Session:
    """One cell, one program in it at a time. Every method raises Unavailable where the cell dies or falls silent.

    Args:
        link: The near end of the cell's socket.
        limits: What programs may use.
        check: Raises Unavailable where what the cell hangs on was stopped.
    """

    def __init__(self, link: socket.socket, limits: Limits, check: Callable[[], None]) -> None:
        self._link, self._limits, self._check = link, limits, check
        self._unread = bytearray()
        self._alive = False

    def run(self, source: str, stdin: str = "") -> Outcome:
        """Run a whole program, as ``python program.py < stdin``."""
        self._start("program", source, "", stdin)
        return self._wait_for_end()

    def start(self, mode: str, source: str, entry: str) -> str | Outcome:
        """Start a program that stays.

        Args:
            mode: As in ``program.run``, and so are the others.
            source: What is run.
            entry: What is called.

        Returns:
            Its first line (see ``program``), or how it ended.
        """
        self._start(mode, source, entry, "")
        return self.hear()

    def say(self, line: str) -> str | Outcome:
        """Give the program a line; return the one that it answers with, or how it ended."""
        self._send({"say": line})
        return self.hear()

    def hear(self) -> str | Outcome:
        """Wait for the program's next line; return it, or how the program ended."""
        deadline = time.monotonic() + self._patience()
        reply = json.loads(self._read_line(deadline))
        if "broken" in reply:
            raise Unavailable(f"the cell cannot be made, or go on: {reply['broken']}")
        self._alive = "said" in reply
        if self._alive:
            return str(reply["said"])
        stdout, stderr = (self._read(size, deadline).decode("utf-8", "replace") for size in reply["bytes"])
        return Outcome(**reply["ended"], stdout=stdout, stderr=stderr)

    @contextmanager
    def serve(self, source: str, entry: str) -> Iterator[str | Outcome]:
        """Keep a program that is called, as long as the context lasts; yield what ``start`` returns."""
        said = self.start("serve", source, entry)
        yield said
        if self._alive:
            self._send({"end": True})
            self._wait_for_end()

    def _wait_for_end(self) -> Outcome:
        """Wait until the program ends, whatever lines it says on the way."""
        while isinstance(said := self.hear(), str):
            pass
        return said

    def _start(self, mode: str, source: str, entry: str, stdin: str) -> None:
        limits = asdict(self._limits)
        self._send({"run": {"mode": mode, "source": source, "entry": entry, "stdin": stdin, "limits": limits}})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._link.settimeout(self._patience())
            self._link.sendall(json.dumps(message).encode("ascii") + b"\n")
        except OSError as error:
            raise Unavailable(f"the cell is gone: {error}") from None

    def _read_line(self, deadline: float) -> bytes:
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            self._receive(deadline)
        return self._read(end + 1, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        while len(self._unread) < size:
            self._receive(deadline)
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    def _receive(self, deadline: float) -> None:
        """Receive what comes next from the cell. Raises Unavailable where nothing will."""
        while True:
            left = deadline - time.monotonic()
            speaks, _, _ = select.select([self._link], [], [], max(0.0, min(left, CHECK_SECONDS)))
            if speaks:
                break
            if left <= 0:
                raise Unavailable("the cell is silent")
            self._check()
        try:
            data = self._link.recv(1 << 18)
        except OSError as error:
            raise Unavailable(f"the cell is gone: {error}") from None
        if not data:
            raise Unavailable("the cell is gone")
        self._unread += data

    def _patience(self) -> float:
        return (PATIENCE + SLOWDOWN) * self._limits.seconds + SLACK_SECONDS
