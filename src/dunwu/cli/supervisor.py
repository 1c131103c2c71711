"""The small parent of a command that can be resumed: it owns signals, the lock of the run directory, the last words.

The command itself is its child process (``cli/driver.py``), which draws on the same terminal. Whatever ends the child
from inside (a cluster's runtime, the lack of memory, a crash in native code) ends with one line and a way to go on.

    child    parent
    holds    a run directory: here is its lock's descriptor     the parent answers when it holds it, too
    writes   whether something is written that a stop waits for
    ends     the exit code; everything that there is to say has been said
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from dunwu.cli.exits import FAULT, KEYBOARD
from dunwu.cli.signals import NOTHING_LOST
from dunwu.errors import INTERRUPTED, Interrupted
from dunwu.pipeline.interrupts import OVERDUE, PASSED_ON, SIGNALS

PATIENCE_SECONDS = 9.0
"""How long the child may take to obey, after which it is killed. It ends by itself sooner, unless it hangs."""
CLEAN_LINE = b"\r\x1b[K\x1b[?25h"
"""What takes a bar away that nobody will move any more, and gives the cursor back."""
LONGEST_MESSAGE = 65_536
LOST = "what came after its newest checkpoint will be made again"


class Supervisor:
    """Runs a command in a child process.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._channel, self._childs_end = socket.socketpair()
        self._channel.setblocking(False)  # what the child has started may hold its end open when it has gone
        self._unread, self._descriptors = b"", list[int]()
        self._asked, self._since, self._passed_on = 0, 0.0, False
        self._directory: Path | None = None
        self._lock: int | None = None
        self._writing = self._idle = self._overdue = False
        self._code: int | None = None

    def run(self) -> int:
        """Run the command to its end, and return the exit code."""
        with self._channel, _wake_at_signals(self._take_signal) as woken:
            with self._childs_end:
                child = start_driver(self._childs_end, self._arguments)
            sources = [self._channel.fileno(), woken]
            while (status := child.poll()) is None:
                ready, _, _ = select.select(sources, [], [], self._find_time_left())
                if woken in ready:
                    os.read(woken, LONGEST_MESSAGE)
                if self._channel.fileno() in ready and not self._hear():
                    sources.remove(self._channel.fileno())  # the child may close it long before it ends
                self._pass_on(child)
            while self._hear():
                pass  # what it said last
            return self._conclude(status)

    def _take_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._asked:
            self._asked, self._since = number, time.monotonic()

    def _pass_on(self, child: subprocess.Popen[bytes]) -> None:
        """Pass a request to stop on, once. A child that holds no run has nothing to lose, and is killed."""
        first, self._passed_on = bool(self._asked) and not self._passed_on, bool(self._asked)
        if self._idle or (first and self._lock is None and self._code is None):
            self._idle = True
            child.kill()
        elif first:
            child.send_signal(PASSED_ON)
            child.send_signal(signal.SIGCONT)  # one that was stopped hears nothing
        elif self._find_time_left() == 0.0:
            self._overdue = True
            child.kill()

    def _find_time_left(self) -> float | None:
        """Return the seconds until the child is killed; None: without end."""
        if not self._asked or self._writing or self._overdue:
            return None
        return max(0.0, self._since + PATIENCE_SECONDS - time.monotonic())

    def _hear(self) -> bool:
        """Take what the child says; return whether there may be more."""
        try:
            said, descriptors, _, _ = socket.recv_fds(self._channel, LONGEST_MESSAGE, 1)
        except OSError:
            said, descriptors = b"", []
        *lines, self._unread = (self._unread + said).split(b"\n")
        self._descriptors += descriptors
        for message in map(json.loads, lines):
            self._take_message(message)
        return bool(said)

    def _take_message(self, message: dict[str, Any]) -> None:
        match message:
            case {"holds": str()} if self._asked:
                self._idle = True  # without an answer it makes nothing there
            case {"holds": str(directory)}:
                self._directory, self._lock = Path(directory), self._descriptors.pop()
                with suppress(OSError):
                    self._channel.send(b"\n")
            case {"holds": None} if self._lock is not None:
                os.close(self._lock)
                self._lock = None
            case {"writes": bool(writing)}:
                self._writing, self._since = writing, time.monotonic()
            case {"ends": int(code)}:
                self._code = code

    def _conclude(self, status: int) -> int:
        """Say what the child did not say, and return the exit code."""
        if self._code is not None:
            return self._code
        if status == INTERRUPTED:  # ``end_process``: it has said why
            return status
        if self._idle:
            _say("interrupted" if self._asked == signal.SIGINT else NOTHING_LOST)
            return KEYBOARD if self._asked == signal.SIGINT else INTERRUPTED
        if self._overdue:
            self._record(OVERDUE)
            _say(OVERDUE)
            return INTERRUPTED
        return self._report_death(_describe_end(status))

    def _report_death(self, how: str) -> int:
        if self._directory is None or not (self._directory / "manifest.json").is_file():
            _say(f"fault: {how}; nothing was made")
            return FAULT
        from dunwu.analysis.next_steps import find_program

        self._record(f"{how}; {LOST}")
        resume = [] if "--resume" in self._arguments else ["--resume"]
        _say(f"{how}; {LOST}; resume with: {shlex.join([find_program(), *self._arguments, *resume])}")
        return INTERRUPTED

    def _record(self, why: str) -> None:
        """Keep in the run directory why its process ended, where that is not known; its lock is held."""
        from dunwu.runs.run_state import FILE, record_end

        if self._lock is not None and self._directory is not None and not (self._directory / FILE).exists():
            record_end(self._directory, Interrupted(why))


def start_driver(channel: socket.socket, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the command in a process that cannot be interrupted by Ctrl-C: the terminal sends that to both."""
    # Modules are looked for where this process looks: in the working directory or not.
    safe = [] if sys.path[:1] in ([""], [os.getcwd()]) else ["-P"]
    command = [sys.executable, *safe, "-m", "dunwu.cli.driver", str(channel.fileno()), sys.argv[0], *arguments]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # it begins so, and goes on by ignoring it
    try:
        return subprocess.Popen(command, pass_fds=[channel.fileno()])
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def _wake_at_signals(handle: Callable[[int, FrameType | None], None]) -> Iterator[int]:
    """Have requests to stop call ``handle``; yield a descriptor that can be read then, and when the child ends."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    previous: dict[signal.Signals, Any] = {}
    previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in SIGNALS:
        if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):  # nohup
            previous[number] = signal.signal(number, handle)
    wakeup = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    try:
        yield woken
    finally:
        signal.set_wakeup_fd(wakeup)
        for changed, handler in previous.items():
            signal.signal(changed, handler)
        os.close(woken)
        os.close(wakes)


def _describe_end(status: int) -> str:
    """Say how a process ended that did not say it itself."""
    if status >= 0:
        return f"the run's process ended without a word, with exit code {status}"
    name = " (out of memory?)" if -status == signal.SIGKILL else f" ({signal.strsignal(-status)})"
    return f"the run's process was killed by signal {-status}{name}"


def _say(line: str) -> None:
    """Write a line to stderr, below whatever was drawn; a terminal may be gone."""
    for descriptor in (1, 2):
        if os.isatty(descriptor):
            with suppress(OSError):
                os.write(descriptor, CLEAN_LINE)
    with suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="replace"))
