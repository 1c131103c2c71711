"""SIGTERM, SIGINT and SIGHUP ask a run to stop; where it may stop at once and where it first ends what it does."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import NoReturn

from dunwu.errors import INTERRUPTED, Interrupted

GRACE_SECONDS = 5.0
"""How long a stop may wait for updates to end: with the checkpoint after it, a SIGTERM is obeyed within 10 s."""
WAIT_SECONDS = 6.0
"""How long it may wait at all, whatever the process is in (loading a library, one long product of matrices)."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PASSED_ON = signal.SIGUSR2
"""By what a parent process passes a request on: libraries take SIGTERM for themselves, and a terminal sends SIGINT."""
RECORD_SECONDS = 1.0
"""How long the record of such an end may take: a disk that answers nobody must not keep the process."""
OVERDUE = (
    "asked to stop; the run came to no place where it can be saved, so what came after its newest checkpoint will be "
    "made again; resume with the same command and --resume"
)


class StopSignal:
    """Obeys SIGTERM, SIGINT and SIGHUP while it is open.

    They set ``requested``, and inside ``interruptible()`` raise ``Interrupted`` at once.

    Generating can be cut anywhere, because its samples come again from their seeds. Optimizer steps cannot, because
    half an update is no policy: there ``pace`` says where the run ends. A process that obeys neither way for
    ``WAIT_SECONDS``, and is not ``writing``, ends as if it were killed, which loses nothing that is in the run's
    directory, and ``record`` is called with the reason before. ``say_writing`` is called as that begins and ends.
    Outside the main thread, where Python delivers no signals, it does nothing.

    Args:
        signals: Those by which a stop is asked for.
        ends_process: Whether an overdue stop ends the process; where not, the run stops at its next place to stop.
    """

    def __init__(self, signals: Sequence[signal.Signals] = SIGNALS, *, ends_process: bool = True) -> None:
        self._signals, self._ends_process = signals, ends_process
        self.requested = False
        self.record: Callable[[Interrupted], object] = lambda reason: None
        self.say_writing: Callable[[bool], object] = lambda writing: None
        self._at_once = False
        self._writing = self._wrote = False
        self._obeyed = threading.Event()
        self._previous: dict[int, signal._HANDLER] = {}
        self._woken = self._wakes = self._previous_wakeup = -1
        self._watcher = threading.Thread(target=self._watch, name="stop", daemon=True)

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in self._signals:
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):  # nohup
                self._previous[number] = signal.signal(number, self._handle)
        self._woken, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        # Written to by the signal itself: a handler in Python waits while the main thread is in another language.
        self._previous_wakeup = signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._obeyed.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._previous:
            signal.set_wakeup_fd(self._previous_wakeup)
            os.close(self._wakes)
            self._watcher.join()
            os.close(self._woken)

    def check(self) -> None:
        """Raise Interrupted where a stop was asked for."""
        if self.requested:
            self._obeyed.set()
            raise Interrupted("asked to stop")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a request to stop, also one that came before, raise Interrupted inside the block."""
        outer, self._at_once = self._at_once, True
        try:
            self.check()
            yield
        finally:
            self._at_once = outer and not self.requested

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let a stop wait for the block, however long it takes: what is written is worth more than what was before."""
        self._writing = self._wrote = True
        self.say_writing(True)
        try:
            yield
        finally:
            self._writing = False
            self.say_writing(False)

    def pace(self, updates: int) -> Callable[[int, float], None]:
        """Begin a number of optimizer steps; return a check to call during them.

        The check takes the steps done and the share of the one under way. In the first step, which has changed nothing
        yet, a request to stop raises Interrupted at once. Later it waits for the last step where by the pace so far
        that takes less than ``GRACE_SECONDS``, and raises where not.
        """
        began = time.monotonic()

        def check(steps: int, share: float) -> None:
            if not self.requested:
                return
            done = steps + share
            if steps == 0 or (time.monotonic() - began) / done * (updates - done) > GRACE_SECONDS:
                self.check()

        return check

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number in (signal.SIGHUP, PASSED_ON):
            leave_terminal()
        if self._at_once:
            # Once is enough: the checkpoint that follows must not be cut by a second signal.
            self._at_once = False
            self.check()

    def _watch(self) -> None:
        """End the process where a stop is not obeyed in time; in a thread of its own."""
        while (asked := os.read(self._woken, 1)) and asked[0] not in self._signals:
            pass  # another signal's: a handler of somebody else's
        overdue = False
        while self._ends_process and asked and not overdue and not self._obeyed.wait(WAIT_SECONDS):
            overdue, self._wrote = not self._wrote, self._writing  # once more after what was written
        if overdue:
            reason = Interrupted(OVERDUE)
            recording = threading.Thread(target=self.record, args=(reason,), name="last words", daemon=True)
            recording.start()
            recording.join(RECORD_SECONDS)
            end_process(OVERDUE)


def is_interactive() -> bool:
    """Whether a person types into this process, in an interpreter or a notebook, and holds more in it than a run."""
    return hasattr(sys, "ps1")


def end_process(line: str) -> NoReturn:
    """End the process at once, with one line on stderr and the exit code of a stop.

    Args:
        line: why.
    """
    shown = "\x1b[?25h" if os.isatty(2) else ""  # the bar hides the cursor
    with suppress(OSError):
        os.write(2, f"{shown}{line}\n".encode())
    os._exit(INTERRUPTED)


def leave_terminal() -> None:
    """Send what is still said nowhere where the terminal has gone: writing to it would fail, and with it the saving."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
