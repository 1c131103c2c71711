"""The time by which a process is silent: its own, never the machine's.

A busy machine makes a process late, which is no fault of the process and must decide nothing. So of the time between a
request and its reply only that counts in which the process, or one that it has started, had a processor, and that in
which none of them wanted one: asleep or stopped. Waiting for a processor or for the disk counts for nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

LOOK_SECONDS = 0.05
"""Seconds between two looks, and the most that an idle process is charged for one: who looks may be late too."""
CROWD = 20.0
"""Where the system does not tell what a process does (no Linux), wall-clock seconds that count for one."""
PROC = Path("/proc")
HAS_PROC = (PROC / f"self/task/{os.getpid()}/children").exists()
WAITING = frozenset("RD")
"""States of a thread that has, or wants, a processor or the disk (proc_pid_stat(5))."""
STATE, FIRST_TIME, LAST_TIME = 0, 11, 14
"""Places after the name: the state; processor time of the process (user, system) and of its ended children."""
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class OwnTime:
    """The own time of a process and of what it has started, from the first look on.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looked = time.monotonic()
        self._worked: float | None = None
        self.seconds = 0.0
        """As of the last look."""

    def look(self) -> float:
        """Bring ``seconds`` up to date, at most every ``LOOK_SECONDS``.

        Returns:
            Seconds of processor time, and seconds in which nothing of it wanted any.
        """
        passed = time.monotonic() - self._looked
        if passed < LOOK_SECONDS:
            return self.seconds
        self._looked += passed
        if not HAS_PROC:
            self.seconds += passed / CROWD
            return self.seconds
        activity = _measure_activity(self._pid)
        worked = 0.0 if self._worked is None else max(0.0, activity.seconds - self._worked)
        self._worked = activity.seconds
        self.seconds += worked or (0.0 if activity.waiting else LOOK_SECONDS)
        return self.seconds


class _Activity(NamedTuple):
    """What a process, its threads and those that it has started do."""

    seconds: float
    """Processor time so far, ended children's too."""
    waiting: bool
    """One of them runs, or waits for a processor or the disk."""


def _measure_activity(pid: int) -> _Activity:
    seconds, waiting = 0.0, False
    for process in _find_processes(pid):
        with suppress(OSError):  # it has ended since
            fields = _read_stat(process)
            seconds += sum(map(int, fields[FIRST_TIME : LAST_TIME + 1])) / TICKS_PER_SECOND
            waiting = waiting or any(_read_stat(thread)[STATE] in WAITING for thread in (process / "task").iterdir())
    return _Activity(seconds, waiting)


def _find_processes(pid: int) -> Iterator[Path]:
    """Yield the process and its descendants, those that ended meanwhile left out."""
    process = PROC / str(pid)
    yield process
    with suppress(OSError):
        for thread in (process / "task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _find_processes(int(child))


def _read_stat(process: Path) -> list[str]:
    """Read the fields of a stat file after the name, which may itself hold blanks and brackets."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
