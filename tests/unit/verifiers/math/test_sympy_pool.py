"""Workers that are killed, stopped, kept busy, or never start."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from dunwu.errors import Fault
from dunwu.verifiers.math import sympy_pool as pool_module
from dunwu.verifiers.math.grammar import parse
from dunwu.verifiers.math.sympy_pool import CheckTimeout, WorkerPool
from dunwu.verifiers.math.tokens import tokenize
from dunwu.verifiers.math.tree import Symbol, dump
from dunwu.verifiers.process import WorkerLost


def tree(text: str) -> str:
    """An expression as a worker reads it."""
    return dump(parse(tokenize(text)))


UNIT, ROOT = tree("i"), tree(r"\sqrt{-1}")
HANGS = [tree(text) for text in ("9^{9^9}", "10^10!", "10^{10}!", r"\binom{1000000000}{500000000}")]


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(workers=1, budget=20.0)
    yield made
    made.close()


def workers() -> list[psutil.Process]:
    """The worker processes of this test process, without their forks."""
    children = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in children if "worker.py" in " ".join(child.cmdline())]


def and_forks(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Forks first, so that none of them is replaced in between."""
    return [*(fork for process in processes for fork in process.children()), *processes]


def edited(folder: Path, before: str, after: str) -> Path:
    """The worker's program with a change."""
    text = pool_module.PROGRAM.read_text(encoding="utf-8")
    assert before in text
    program = folder / "worker.py"
    program.write_text(text.replace(before, after), encoding="utf-8")
    return program


def test_workers_start_lazily_and_end_with_the_pool() -> None:
    before = len(workers())
    with_none = WorkerPool(workers=2, budget=20.0)
    assert len(workers()) == before
    assert with_none.ask(UNIT, ROOT)
    assert len(workers()) == before + 1
    with_none.close()
    assert len(workers()) == before
    with pytest.raises(ValueError, match="closed"):
        with_none.ask(UNIT, ROOT)


def test_a_hang_is_cut_and_the_next_answer_is_right() -> None:
    pool = WorkerPool(workers=1, budget=0.3)
    try:
        for hang in HANGS:
            with pytest.raises(CheckTimeout):
                pool.ask(tree("5"), hang)
        assert pool.ask(tree("2"), tree(r"\sqrt{4}"))
    finally:
        pool.close()


def test_a_killed_worker_is_replaced_and_the_answer_comes_all_the_same(pool: WorkerPool) -> None:
    assert pool.ask(UNIT, ROOT)
    for victim in workers():
        victim.suspend()  # or it would tell of its fork's death before its own
        for process in and_forks([victim]):
            process.send_signal(signal.SIGKILL)
        victim.wait()
    assert pool.ask(UNIT, ROOT)


def test_a_killed_fork_ends_its_worker_and_the_answer_comes_all_the_same(pool: WorkerPool) -> None:
    assert pool.ask(UNIT, ROOT)
    (worker,) = workers()
    for fork in worker.children():
        fork.send_signal(signal.SIGKILL)
    worker.wait()
    assert pool.ask(UNIT, ROOT)


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_killing_workers_at_random_moments_changes_no_verdict(pool: WorkerPool, kills: int) -> None:
    """The worker or the fork that compares, before or while it does."""
    written = ((r"\frac{1}{2}", "0.5", True), (r"\sqrt{8}", r"2\sqrt{2}", True), ("x", "x-1", False))
    pairs = ((UNIT, ROOT, True), *((tree(gold), tree(answer), right) for gold, answer, right in written))
    rng, killed = random.Random(0), []

    def kill() -> None:
        if victims := and_forks(workers()):  # none where the last kill has just come through
            with contextlib.suppress(psutil.NoSuchProcess):
                (victim := rng.choice(victims)).kill()
                killed.append(victim)

    for gold, answer, right in itertools.cycle(pairs):
        assert pool.ask(gold, answer) is right  # one is up
        killer = threading.Timer(rng.random() * 0.005, kill)
        killer.start()
        assert pool.ask(gold, answer) is right
        killer.join()
        if len(killed) == kills:
            break


def test_a_cut_leaves_the_worker_and_another_fork() -> None:
    pool = WorkerPool(workers=1, budget=0.2)
    try:
        assert pool.ask(tree("2"), tree(r"\sqrt{4}"))
        (worker,) = workers()
        (fork,) = worker.children()
        with pytest.raises(CheckTimeout):
            pool.ask(tree("5"), HANGS[0])
        assert pool.ask(tree("2"), tree(r"\sqrt{4}"))
        assert workers() == [worker]
        assert worker.children() != [fork]
    finally:
        pool.close()


def test_an_interrupted_request_leaves_no_reply_to_the_next(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pool.ask(UNIT, ROOT)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pool_module._Worker, "read_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.ask(UNIT, ROOT)
    assert not pool.ask(tree("2"), tree(r"\sqrt{5}"))


def test_an_answer_that_crashes_the_process_equals_nothing(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = 'if "crash" in answer:\n        os.kill(os.getpid(), signal.SIGSEGV)\n    left, right = json.loads(gold)'
    monkeypatch.setattr(pool_module, "PROGRAM", edited(tmp_path, "left, right = json.loads(gold)", crash))
    assert not pool.ask(tree("5"), dump(Symbol("crash")))
    assert pool.ask(UNIT, ROOT)


def test_nothing_is_left_of_a_closed_pool() -> None:
    pool = WorkerPool(workers=1, budget=20.0)
    assert pool.ask(UNIT, ROOT)
    processes = and_forks(workers())
    assert len(processes) == 2
    pool.close()
    gone, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive
    assert len(gone) == 2


def test_a_stopped_worker_is_replaced_and_no_verdict_on_the_answer() -> None:
    pool = WorkerPool(workers=1, budget=0.2)
    try:
        assert pool.ask(tree("2"), tree(r"\sqrt{4}"))
        stopped = and_forks(workers())
        for victim in stopped:
            victim.suspend()
        assert pool.ask(tree("2"), tree(r"\sqrt{4}"))
        assert workers()
        assert stopped[-1] not in workers()
    finally:
        pool.close()


def test_a_worker_that_waits_for_a_processor_is_late_and_its_verdict_stands(busy: list[psutil.Process]) -> None:
    """Each verdict takes longer by the clock than ``PATIENCE`` times its budget."""
    pool = WorkerPool(workers=1, budget=0.2)
    try:
        assert pool.ask(UNIT, ROOT)
        (worker,) = workers()
        for process in and_forks([worker]):
            process.cpu_affinity(busy[0].cpu_affinity())
        with pytest.raises(CheckTimeout):
            pool.ask(UNIT, HANGS[0])
        assert workers() == [worker]
    finally:
        pool.close()


def test_two_deaths_over_one_answer_are_a_lost_worker(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suicidal = tmp_path / "worker.py"
    deaths = tmp_path / "deaths"
    suicidal.write_text(
        "import os, sys\nprint('\"ready\"', flush=True)\nsys.stdin.readline()\n"
        f"with open({str(deaths)!r}, 'a') as log: log.write('x')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    monkeypatch.setattr(pool_module, "PROGRAM", suicidal)
    with pytest.raises(WorkerLost):
        pool.ask(UNIT, ROOT)
    assert deaths.read_text() == "xx"
    monkeypatch.undo()
    assert pool.ask(UNIT, ROOT)


def test_a_worker_that_cannot_start_is_our_fault_and_said(
    pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "worker.py"
    broken.write_text("import nothing_of_this_name\n")
    monkeypatch.setattr(pool_module, "PROGRAM", broken)
    with pytest.raises(Fault, match="does not start"):
        pool.ask(UNIT, ROOT)


def test_forks_are_renewed(pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PROGRAM", edited(tmp_path, "REQUESTS = 2000", "REQUESTS = 2"))
    for number in range(2, 9):
        assert pool.ask(tree(str(number)), tree(rf"\sqrt{{{number**2}}}"))
        assert not pool.ask(tree(str(number)), tree(rf"\sqrt{{{number**2 + 1}}}"))
    assert len(workers()) == 1


def test_many_threads_get_their_own_answers() -> None:
    pool = WorkerPool(workers=2, budget=20.0)
    golds = list(range(2, 26))
    try:
        with ThreadPoolExecutor(8) as threads:
            right = list(threads.map(lambda n: pool.ask(tree(str(n)), tree(rf"\sqrt{{{n * n}}}")), golds))
            wrong = list(threads.map(lambda n: pool.ask(tree(str(n)), tree(rf"\sqrt{{{n * n + 1}}}")), golds))
    finally:
        pool.close()
    assert all(right)
    assert not any(wrong)


def test_a_worker_does_not_outlive_its_parent() -> None:
    code = """
import os, psutil
from dunwu.verifiers.math.sympy_pool import WorkerPool
WorkerPool(workers=1, budget=20.0).ask('["symbol","x"]', '["symbol","x"]')
print(psutil.Process().children()[0].pid, flush=True)
os.kill(os.getpid(), 9)
"""
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert parent.returncode == -signal.SIGKILL
    with contextlib.suppress(psutil.NoSuchProcess):
        orphan = psutil.Process(int(parent.stdout))
        if orphan.status() != psutil.STATUS_ZOMBIE:
            orphan.wait(timeout=20)
