"""A stop is obeyed at once while generating, waits for a whole update, and never long."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dunwu.errors import INTERRUPTED, Interrupted
from dunwu.pipeline.interrupts import StopSignal
from dunwu.runs import RunReader
from dunwu.runs.run_state import UNSAID


def test_generation_is_cut_at_once() -> None:
    with StopSignal() as stop:
        with pytest.raises(Interrupted), stop.interruptible():
            signal.raise_signal(signal.SIGTERM)
        assert stop.requested


def test_an_update_is_not_cut_and_the_next_generation_is() -> None:
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)  # raises nothing here
        reached = False
        with pytest.raises(Interrupted), stop.interruptible():
            reached = True
        assert not reached


def test_a_second_signal_does_not_cut_the_saving() -> None:
    saved = []
    with StopSignal() as stop:
        try:
            with stop.interruptible():
                signal.raise_signal(signal.SIGTERM)
        except Interrupted:
            signal.raise_signal(signal.SIGTERM)
            saved.append("whole")
    assert saved == ["whole"]


def test_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_slow_updates_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 3.3, 4.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with StopSignal() as stop:
        check = stop.pace(updates=4)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted):
            check(1, 0.0)  # 2 s for one, 6 s to go
        with pytest.raises(Interrupted):
            check(1, 0.5)  # 3.3 s for one and a half, 5.5 s to go
        check(2, 0.0)  # 4 s for two, 4 s to go: worth the wait


def test_the_first_update_is_given_up_at_once() -> None:
    """It has changed no weights yet, however long its microbatches take."""
    with StopSignal() as stop:
        check = stop.pace(updates=1)
        check(0, 0.5)  # nobody has asked
        signal.raise_signal(signal.SIGTERM)
        for share in (0.0, 0.5):
            with pytest.raises(Interrupted):
                check(0, share)


def test_a_part_that_can_be_cut_within_another_leaves_that_one_so() -> None:
    with StopSignal() as stop, pytest.raises(Interrupted), stop.interruptible():
        inner_and_then_stop(stop)


def inner_and_then_stop(stop: StopSignal) -> None:
    with stop.interruptible():
        pass
    signal.raise_signal(signal.SIGTERM)


WAITING = """
import os, signal, sys, time
from dunwu.pipeline import interrupts
interrupts.WAIT_SECONDS = 0.1
with interrupts.StopSignal() as stop:
    print("ready", flush=True)
    {work}
"""
DEAF = """
    import hashlib
    hashlib.pbkdf2_hmac("sha256", b"", b"", (1 << 31) - 1)  # minutes in C, in which no handler of Python's runs
"""


@pytest.mark.parametrize("work", ["while True: pass", DEAF.strip()], ids=["asks-nobody", "in-c"])
def test_a_process_that_comes_to_no_place_to_stop_ends_all_the_same(work: str) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", WAITING.format(work=work)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    assert run.returncode == INTERRUPTED
    assert said.count("\n") == 1
    assert "newest checkpoint" in said


def test_where_somebody_types_the_process_goes_on_to_the_next_place_to_stop() -> None:
    with StopSignal(ends_process=False) as stop:
        signal.raise_signal(signal.SIGINT)
        stop._watcher.join()  # it has seen the signal, and waits for nothing
        with pytest.raises(Interrupted):
            stop.check()


OVERDUE_RUN = """
import sys
from pathlib import Path
from tests.unit.runs.making import STAGE, begin
from dunwu.pipeline import interrupts
interrupts.WAIT_SECONDS = 0.1
with interrupts.StopSignal() as stop, begin(Path(sys.argv[1])) as run:
    run.stage(STAGE)
    stop.record = {record}
    print("ready", flush=True)
    {work}
"""


@pytest.mark.parametrize("work", ["while True: pass", DEAF.strip()], ids=["asks-nobody", "in-c"])
def test_a_run_whose_stop_was_overdue_says_so(tmp_path: Path, work: str) -> None:
    assert _overdue(tmp_path, record="run.record_end", work=work) == INTERRUPTED
    state = RunReader(tmp_path).state
    assert state.kind == "stopped"
    assert state.why.startswith("asked to stop; the run came to no place where it can be saved")


def test_a_record_that_never_ends_keeps_no_process(tmp_path: Path) -> None:
    assert _overdue(tmp_path, record="lambda reason: __import__('threading').Event().wait()", work="while True: pass")
    assert RunReader(tmp_path).state == ("stopped", UNSAID)


def _overdue(folder: Path, **program: str) -> int:
    run = subprocess.Popen(
        [sys.executable, "-c", OVERDUE_RUN.format(**program), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    return run.returncode


WRITING = """
    with stop.writing():
        while not stop.requested: pass
        time.sleep(1.2)
    raise SystemExit(7)
"""


def test_what_is_being_written_is_finished() -> None:
    program = WAITING.replace("0.1", "0.5").format(work=WRITING.strip())
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 7


def test_a_run_whose_terminal_goes_saves_and_says_so_to_nobody(tmp_path: Path) -> None:
    """The kernel sends SIGHUP then, and every write to the terminal fails."""
    program = f"""
import os, pathlib, time
from dunwu.errors import Interrupted
from dunwu.pipeline.interrupts import StopSignal
from dunwu.runs import RunReader
from dunwu.runs.run_state import UNSAID
with StopSignal() as stop:
    try:
        with stop.interruptible():
            print("ready", flush=True)
            time.sleep(600)
    except Interrupted:
        print("saving", flush=True)
        pathlib.Path({str(tmp_path / "saved")!r}).write_text("whole")
"""
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", program])
    assert os.read(terminal, 100).startswith(b"ready")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (tmp_path / "saved").read_text() == "whole"


def test_an_ignored_hangup_stays_ignored() -> None:
    """Under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignal() as stop, stop.interruptible():
            signal.raise_signal(signal.SIGHUP)
        assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_somebody_else_handles_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(code: int) -> None:
        raise AssertionError(f"ended with {code}")

    monkeypatch.setattr(os, "_exit", ended)
    monkeypatch.setattr("dunwu.pipeline.interrupts.WAIT_SECONDS", 0.01)
    stop = StopSignal()
    woken, wakes = os.pipe()
    monkeypatch.setattr(stop, "_woken", woken, raising=False)
    os.write(wakes, bytes([signal.SIGUSR1]))
    os.close(wakes)
    stop._watch()  # and no more is read
    os.close(woken)
