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
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import IO, Any

from dunwu.machine import usable_cores
from dunwu.own_time import OwnTime
from dunwu.workers.calls import OpenCalls
from dunwu.workers.worker import (
    SILENT_SECONDS,
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
        # Modules are looked for where this process looks: what lies in the working directory is not found by accident.
        safe = [] if sys.path[:1] in ([""], [os.getcwd()]) else ["-P"]
        command = [sys.executable, *safe, "-m", "dunwu.workers.child", str(theirs.fileno()), str(life)]
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
        self._calls = OpenCalls(name)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._outgoing.put(pickle.dumps((name, sys.path)))
        self._outgoing.put(pickle.dumps(make))
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
        return self._calls.lost is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(self, method: str, *arguments: Any, seconds: float | None = None) -> Future[Any]:
        """See ``worker.Worker``."""
        message = pickle.dumps((method, arguments))
        with self._calls.lock:
            call = self._calls.add(method, seconds)
            self._outgoing.put(message)
        return call.future

    def kill(self) -> None:
        """See ``worker.Worker``."""
        self._lose(WorkerDied(self.name, "was ended"))
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        self._connection.close()
        self._stderr.close()

    def _lose(self, reason: WorkerLost) -> None:
        self._calls.lose(reason, self._end)

    def _end(self) -> None:
        with suppress(ProcessLookupError):  # also where it is dead itself: its group may not be
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._outgoing.put(None)

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
            if kind == "ready":
                self._calls.set_ready()
            elif kind != "beat":
                self._calls.answer(kind == "returned", content)

    def _look(self) -> None:
        own: OwnTime | None = None
        while self.is_alive:
            time.sleep(LOOK_SECONDS)
            if time.monotonic() - self._heard < QUIET_SECONDS:
                own = None
            else:
                own = own or OwnTime(self._process.pid)
                if own.look() > SILENT_SECONDS - QUIET_SECONDS:
                    self._lose(WorkerSilent(self.name, "said nothing more, and was ended"))
            if overdue := self._calls.find_overdue():
                self._lose(overdue)

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
