"""SIGKILL at any system call: nothing corrupt, no valid checkpoint lost, the resumed run's files the same bytes."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.runs.making import STAGE, fingerprint, work

from dunwu.runs import RunReader

MEMORY = Path("/dev/shm")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where the system has one: fsync is then free, and a killed process leaves the same files."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def run_until() -> Iterator[Callable[[int, Path], str]]:
    """Runs or resumes the run in a directory and kills it at its n-th changing system call: ``killed`` or ``done``."""
    killer = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.runs.killing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert killer.stdin is not None
    assert killer.stdout is not None
    requests, answers = killer.stdin, killer.stdout

    def run(fatal: int, directory: Path) -> str:
        requests.write(f"{fatal} {directory}\n")
        requests.flush()
        answer = answers.readline().strip()
        assert answer in ("killed", "done"), "the run failed instead of being killed"
        return answer

    yield run
    requests.close()
    assert killer.wait() == 0
    answers.close()


def newest(directory: Path) -> int:
    """Step of the newest valid checkpoint, 0 where there is none. Raises where all are damaged."""
    if not (directory / "manifest.json").exists():
        return 0
    checkpoint = RunReader(directory).stage(STAGE).find_newest_checkpoint()
    return 0 if checkpoint is None else checkpoint.step


def test_a_kill_at_any_system_call(run_until: Callable[[int, Path], str], place: Path) -> None:
    """Every third call of the run is fatal once; each time one resume makes the rest, byte for byte."""
    work(place / "straight")
    expected = fingerprint(place / "straight")
    kills = 0
    for fatal in range(1, 10_000, 3):
        directory = place / f"killed-{fatal}"
        if run_until(fatal, directory) == "done":
            break
        kills += 1
        assert run_until(0, directory) == "done"
        assert fingerprint(directory) == expected, f"killed at call {fatal}"
    assert kills >= 25


def test_a_run_killed_again_and_again(run_until: Callable[[int, Path], str], place: Path) -> None:
    """40 kills at random calls of one run and its resumed selves: checkpoints never go back, the result is the same."""
    work(place / "straight")
    calls = random.Random(11)
    kills, number = 0, 0
    while kills < 40:
        number += 1
        directory = place / f"run-{number}"
        reached, done = 0, False
        while not done:
            done = run_until(calls.randrange(1, 90), directory) == "done"
            kills += not done
            now = newest(directory)
            assert now >= reached, "an older valid checkpoint was lost"
            reached = now
        assert fingerprint(directory) == fingerprint(place / "straight")
