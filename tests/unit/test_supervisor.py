"""The parent of a run beside children that hear nothing, write for long, or have gone; none of them loads a model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.unit.calling import SOURCE
from tests.unit.runs.making import RECIPE, STAGE

from dunwu.cli.supervisor import PATIENCE_SECONDS, Supervisor
from dunwu.pipeline.interrupts import OVERDUE
from dunwu.runs import RunReader, RunWriter
from dunwu.runs.lock import is_held

WAIT_SECONDS = 60
CHILD = """
import os, signal, sys
from pathlib import Path
from tests.unit.runs.making import RECIPE, STAGE
from dunwu.commands import parent
from dunwu.pipeline.interrupts import PASSED_ON, StopSignal
from dunwu.runs import RunWriter
{before}
link = parent.connect(int(sys.argv[1]))
arguments = dict(recipe_text="", recipe_json=RECIPE, seed=7, versions={{}}, take_lock=link.take_lock)
with (
    StopSignal(link.signals) as stop,
    link.letting_go(),
    RunWriter.create(Path(sys.argv[2]), **arguments) as run,
):
    stop.say_writing = link.say_writing
    run.stage(STAGE)
    print(os.getpid(), flush=True)
    {work}
link.say_end(7)
"""
PARENT = """
import subprocess, sys
from dunwu.cli import supervisor
supervisor.PATIENCE_SECONDS = {patience}
def start(channel, arguments):
    command = [sys.executable, "-c", {child!r}, str(channel.fileno()), *arguments]
    return subprocess.Popen(command, pass_fds=[channel.fileno()])
supervisor.start_driver = start
sys.exit(supervisor.Supervisor(sys.argv[1:]).run())
"""
SPINNING = "while True: pass"
IN_C = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', (1 << 31) - 1)"  # minutes, in which no Python runs
STANDING_STILL = "os.kill(os.getpid(), signal.SIGSTOP)"
DEAF = "signal.pthread_sigmask(signal.SIG_BLOCK, {PASSED_ON})\n    while True: pass"


def start(folder: Path, work: str, before: str = "", patience: float = WAIT_SECONDS) -> subprocess.Popen[str]:
    """A parent whose child does something before it has a run directory, and some work when it has one."""
    program = PARENT.format(child=CHILD.format(work=work, before=before), patience=patience)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        env=os.environ | {"PYTHONPATH": f"{SOURCE}:{Path(__file__).parents[2]}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def supervised(
    folder: Path, work: str, before: str = "", patience: float = WAIT_SECONDS
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The same when its child holds the directory; the process number of the child."""
    process = start(folder, work, before, patience)
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate(timeout=WAIT_SECONDS)


def read_state(pid: int) -> str:
    """What a process does, by Linux's letter: T, it stands still; Z, it has ended, as where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
@pytest.mark.parametrize(
    "work", [SPINNING, IN_C, STANDING_STILL, DEAF], ids=["in-python", "in-c", "standing-still", "deaf"]
)
def test_a_child_ends_with_a_killed_parent_and_until_then_nobody_else_writes(tmp_path: Path, work: str) -> None:
    with supervised(tmp_path, work) as (process, child):
        process.kill()
        process.wait()
        with RunWriter.resume(tmp_path, RECIPE):
            while read_state(child) != "Z":  # it gave the lock back a moment ago
                pass
            assert (tmp_path / "lock").read_text().split()[0] == str(os.getpid())


@linux
def test_where_the_system_does_not_say_that_a_parent_has_gone_the_child_looks(tmp_path: Path) -> None:
    before = "parent.LOOK_SECONDS, parent.sys = 0.01, type(sys)('sys'); parent.sys.platform = 'another'"
    with supervised(tmp_path, SPINNING, before) as (process, child):
        process.kill()
        process.wait()
        with RunWriter.resume(tmp_path, RECIPE):
            while read_state(child) != "Z":
                pass


@linux
def test_the_lock_is_held_until_both_have_gone(tmp_path: Path) -> None:
    with supervised(tmp_path, SPINNING) as (process, child):
        assert (tmp_path / "lock").read_text().split()[0] == str(process.pid), "the one that obeys signals is named"
        process.send_signal(signal.SIGSTOP)
        os.kill(child, signal.SIGKILL)
        while read_state(child) != "Z":
            pass
        assert is_held(tmp_path)
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 3
        assert said.startswith("the run's process was killed by signal 9 (out of memory?); ")
        assert is_held(tmp_path) is False


@pytest.mark.parametrize("work", [IN_C, DEAF], ids=["in-c", "deaf"])
def test_a_child_that_does_not_obey_is_killed(tmp_path: Path, work: str) -> None:
    with supervised(tmp_path, work, patience=0.1) as (process, _):
        process.terminate()
        _, said = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, said) == (3, f"{OVERDUE}\n")
    assert RunReader(tmp_path).state == ("stopped", OVERDUE)


@linux
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_request_reaches_a_child_that_stands_still(tmp_path: Path, number: signal.Signals) -> None:
    """It goes on, and may end as it wants: here with a code of its own."""
    with supervised(tmp_path, f"{STANDING_STILL}\n    while not stop.requested: pass") as (process, child):
        while read_state(child) != "T":
            pass
        process.send_signal(number)
        _, said = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, said) == (7, "")
    assert RunReader(tmp_path).stages == {STAGE: "running"}


def test_what_is_being_written_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    parent = Supervisor([])
    assert parent._find_time_left() is None
    parent._take_message({"writes": True})
    parent._take_signal(signal.SIGTERM, None)
    now = 1_000.0
    assert parent._find_time_left() is None
    parent._take_message({"writes": False})
    assert parent._find_time_left() == PATIENCE_SECONDS, "the checkpoint is written, and now it may end"
    now = 1_000.0 + PATIENCE_SECONDS
    assert parent._find_time_left() == 0.0


def test_a_lock_is_not_answered_for_after_a_request() -> None:
    """Without the answer a child makes nothing in its directory."""
    parent = Supervisor([])
    parent._childs_end.setblocking(False)
    parent._take_signal(signal.SIGTERM, None)
    parent._take_message({"holds": "somewhere"})
    with pytest.raises(BlockingIOError):
        parent._childs_end.recv(1)


def test_a_stopping_parent_lets_nobody_begin(tmp_path: Path) -> None:
    """The child takes a lock while the parent is asked to stop: it is killed before it makes anything."""
    process = start(tmp_path / "run", "raise AssertionError('it began')", "os.kill(os.getppid(), signal.SIGTERM)")
    _, said = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, said) == (3, "asked to stop while nothing was being made; the same command goes on\n")
    assert not (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("death", "how"),
    [
        ("os._exit(1)", "ended without a word, with exit code 1"),
        ("os._exit(0)", "ended without a word, with exit code 0"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by signal 11 (Segmentation fault)"),
    ],
)
def test_a_child_that_dies_before_it_makes_anything_is_a_fault(tmp_path: Path, death: str, how: str) -> None:
    process = start(tmp_path / "run", "pass", death)
    _, said = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, said) == (1, f"fault: the run's process {how}; nothing was made\n")


def test_what_the_child_said_counts_whatever_ends_it_then(tmp_path: Path) -> None:
    with supervised(tmp_path, "link.say_end(0); os.kill(os.getpid(), signal.SIGSEGV)") as (process, _):
        _, said = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, said) == (0, "")
