"""Workers that are processes of this machine.

Each has three threads here: one writes calls, one reads replies, one looks whether the process lives. So no caller
waits for a process that does not listen, and none is left with half a message written.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import IO, Any

from dunwu.machine import usable_cores
from dunwu.own_time import OwnTime
from dunwu.workers.worker import (
    SILENT_SECONDS,
    START_SECONDS,
    CallFailed,
    CallOverdue,
    Worker,
    WorkerDied,
    WorkerLost,
    WorkerSilent,
)

QUIET_SECONDS = 2.0
"""Seconds without a word, with a beat due each second, after which a process's own time is looked at."""
LOOK_SECONDS = 0.05
"""Seconds between two looks."""
LAST_WORDS = 300
"""Characters of what a process wrote to stderr that an error repeats."""


@dataclass(slots=True)
class Call:
    """A call under way; ``began`` is when its turn came, on the monotonic clock."""

    method: str
    seconds: float | None
    future: Future[Any] = field(default_factory=Future)
    began: float = 0.0


class ProcessWorker:
    """See ``worker.Worker``. The process is started at construction, in a process group of its own.

    Args:
        name: what errors call it.
        make: makes the object in the process.
        threads: what torch and its libraries compute with there.
    """

    def __init__(self, name: str, make: Callable[[], object], *, threads: int = 1) -> None:
        self.name = name
        ours, theirs = socket.socketpair()
        life, self._lifeline = os.pipe()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  -- closed by kill()
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-m", "dunwu.workers.child", str(theirs.fileno()), str(life)]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                pass_fds=(theirs.fileno(), life),
                env=environment,
                start_new_session=True,  # Ctrl-C is the driver's to handle
            )
        os.close(life)
        self._connection = Connection(ours.detach())
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outgoing.put(pickle.dumps((name, sys.path)))
        self._outgoing.put(pickle.dumps(make))
        self._lost: WorkerLost | None = None
        self._ready = False
        self._heard = time.monotonic()
        self._threads = [
            threading.Thread(target=work, name=f"{name}: {what}", daemon=True)
            for what, work in (("writes", self._write), ("reads", self._read), ("looks", self._look))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """See ``worker.Worker``."""
        return self._lost is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(self, method: str, *arguments: Any, seconds: float | None = None) -> Future[Any]:
        """See ``worker.Worker``."""
        call = Call(method, seconds)
        message = pickle.dumps((method, arguments))
        with self._lock:
            if self._lost is not None:
                call.future.set_exception(self._lost)
                return call.future
            if not self._calls:
                call.began = time.monotonic()
            self._calls.append(call)
            self._outgoing.put(message)
        return call.future

    def kill(self) -> None:
        """See ``worker.Worker``."""
        self._lose(WorkerDied(self.name, "was ended"))
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._connection.close()
        self._stderr.close()

    def _lose(self, reason: WorkerLost) -> None:
        """End the process and fail what is open, once: the first reason counts."""
        with self._lock:
            if self._lost is not None:
                return
            self._lost = reason
            calls, self._calls = list(self._calls), deque()
        with suppress(ProcessLookupError):  # also where it is dead itself: its group may not be
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._lifeline)
        self._outgoing.put(None)
        for call in calls:
            call.future.set_exception(reason)

    def _write(self) -> None:
        while (message := self._outgoing.get()) is not None:
            try:
                self._connection.send_bytes(message)
            except OSError:  # it is dead: the reader says so
                return

    def _read(self) -> None:
        while True:
            try:
                kind, content = pickle.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                self._lose(WorkerDied(self.name, self._describe_end()))
                return
            self._heard = time.monotonic()
            if kind == "beat":
                continue
            with self._lock:
                if kind == "ready":
                    self._ready = True
                    if self._calls:
                        self._calls[0].began = self._heard
                    continue
                if self._lost is not None:
                    return
                call = self._calls.popleft()
                if self._calls:
                    self._calls[0].began = self._heard
            try:
                answer = pickle.loads(content)
            except Exception as error:
                kind, answer = "raised", CallFailed(self.name, f"its answer cannot be read here: {error}")
            if kind == "returned":
                call.future.set_result(answer)
            else:
                call.future.set_exception(answer)

    def _look(self) -> None:
        own: OwnTime | None = None
        began = time.monotonic()
        while self._lost is None:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            if not self._ready and now - began > START_SECONDS:
                self._lose(CallOverdue(self.name, f"was not ready after {START_SECONDS:g} s, and was ended"))
            if now - self._heard < QUIET_SECONDS:
                own = None
            else:
                own = own or OwnTime(self._process.pid)
                if own.look() > SILENT_SECONDS - QUIET_SECONDS:
                    self._lose(WorkerSilent(self.name, "said nothing more, and was ended"))
            self._end_overdue(now)

    def _end_overdue(self, now: float) -> None:
        with self._lock:
            call = self._calls[0] if self._calls else None
        if self._ready and call and call.seconds is not None and now - call.began > call.seconds:
            text = f"took more than {call.seconds:g} s for {call.method}, and was ended"
            self._lose(CallOverdue(self.name, text))

    def _describe_end(self) -> str:
        code = self._process.wait()
        reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 4 * LAST_WORDS))
        words = " ".join(self._stderr.read().decode("utf-8", "replace").split())
        return f"{reason}; it wrote last: ...{words[-LAST_WORDS:]}" if words else reason


class ProcessLauncher:
    """See ``worker.Launcher``. Workers take the cores that they ask for; nobody keeps them to it."""

    def __init__(self) -> None:
        self._workers: list[ProcessWorker] = []

    def launch(self, name: str, make: Callable[[], object], *, cpus: int = 1, gpus: float = 0.0) -> Worker:
        """See ``worker.Launcher``."""
        self._workers = [worker for worker in self._workers if worker.is_alive]
        self._workers.append(ProcessWorker(name, make, threads=cpus or usable_cores()))
        return self._workers[-1]

    def close(self) -> None:
        """See ``worker.Launcher``."""
        for worker in self._workers:
            worker.kill()
