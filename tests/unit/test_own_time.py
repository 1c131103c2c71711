"""What counts as a process's own time: work and rest, never the wait for a processor."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dunwu import own_time
from dunwu.own_time import LOOK_SECONDS, OwnTime

THREAD = "import threading, time\nthreading.Thread(target=lambda: [None for _ in iter(int, 1)]).start()\n"
CHILD = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass'])\n"
SLEEP = "import time\nprint(flush=True)\ntime.sleep(3600)\n"

needs_proc = pytest.mark.skipif(not own_time.HAS_PROC, reason="this system does not tell what a process does")


@pytest.fixture
def started() -> Iterator[Callable[[str], psutil.Process]]:
    """Starts programs, and ends them with what they have started."""
    made: list[psutil.Popen] = []

    def start(program: str) -> psutil.Process:
        made.append(psutil.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE))
        return made[-1]

    yield start
    for process in made:
        for each in [*process.children(recursive=True), process]:
            each.kill()
        process.communicate()


def look(own: OwnTime, monkeypatch: pytest.MonkeyPatch) -> float:
    """The seconds that one look adds, a minute after the last one."""
    before, later = own.seconds, own._looked + 60.0
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: later)
        return own.look() - before


@needs_proc
@pytest.mark.parametrize("program", ["while True: pass", THREAD, CHILD], ids=["process", "thread", "child"])
def test_work_counts_as_processor_time(
    program: str, started: Callable[[str], psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started(program)
    while not any(p.cpu_times().user > 0.1 for p in [process, *process.children()]):
        assert process.is_running()
    own = OwnTime(process.pid)
    look(own, monkeypatch)
    first = _worked(process)
    while _worked(process) < first + 0.2:
        assert process.is_running()
    assert look(own, monkeypatch) >= 0.15


def _worked(process: psutil.Process) -> float:
    return float(sum(sum(p.cpu_times()[:2]) for p in [process, *process.children()]))


@needs_proc
def test_sleep_counts_a_look_at_a_time_however_late_it_is(
    started: Callable[[str], psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started(SLEEP)
    assert process.stdout.readline() == b"\n"
    while process.status() != psutil.STATUS_SLEEPING:
        assert process.is_running()
    own = OwnTime(process.pid)
    look(own, monkeypatch)
    assert look(own, monkeypatch) == LOOK_SECONDS


@needs_proc
def test_a_stopped_process_is_idle_though_it_wants_a_processor(
    started: Callable[[str], psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started("while True: pass")
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        assert process.is_running()
    own = OwnTime(process.pid)
    look(own, monkeypatch)
    assert look(own, monkeypatch) == LOOK_SECONDS


def test_waiting_for_a_processor_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_time, "HAS_PROC", True)
    monkeypatch.setattr(own_time, "_measure_activity", lambda pid: own_time._Activity(7.5, waiting=True))
    own = OwnTime(1)
    assert [look(own, monkeypatch) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_looks_in_quick_succession_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_time, "HAS_PROC", True)
    monkeypatch.setattr(own_time, "_measure_activity", lambda pid: own_time._Activity(0.0, waiting=False))
    own = OwnTime(1)
    later = own._looked + 1.5 * LOOK_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert [own.look() for _ in range(3)] == [LOOK_SECONDS] * 3


def test_a_name_with_brackets_and_blanks_is_read_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self, errors: "12 (a) R 1 (b) S 2 3")
    assert own_time._read_stat(own_time.PROC / "12") == ["S", "2", "3"]


def test_where_the_system_does_not_tell_the_clock_counts_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_time, "HAS_PROC", False)
    assert look(OwnTime(1), monkeypatch) == pytest.approx(60.0 / own_time.CROWD)
