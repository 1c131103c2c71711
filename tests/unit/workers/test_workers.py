"""A worker is one object that answers calls: the same tests over every sort of worker, then how a process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.unit.workers.objects import Counter, make_nothing, wait_for_ever

from dunwu.errors import Fault, UserError
from dunwu.workers.inline import InlineLauncher
from dunwu.workers.process import ProcessLauncher, ProcessWorker
from dunwu.workers.ray_actors import RayLauncher, check_address
from dunwu.workers.worker import CallFailed, CallOverdue, Launcher, WorkerDied, WorkerSilent

PATIENCE = 60.0
"""Seconds that a test waits for what must come; it fails then instead of hanging."""


LAUNCHERS: dict[str, Callable[[], Launcher]] = {
    "inline": InlineLauncher,
    "process": ProcessLauncher,
    "ray": partial(RayLauncher, "local"),
}


@pytest.fixture(params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    if request.param == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'dunwu[ray]'")
    made = LAUNCHERS[request.param]()
    yield made
    made.close()


@pytest.fixture
def ray() -> Iterator[RayLauncher]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'dunwu[ray]'")
    made = RayLauncher("local")
    yield made
    made.close()


@pytest.fixture
def worker() -> Iterator[ProcessWorker]:
    made = ProcessWorker("counter 1", Counter)
    assert made.call("add", 0).result(PATIENCE) == 0  # ready
    yield made
    made.kill()


def error_of(future: Future[object]) -> BaseException | None:
    return future.exception(PATIENCE)


def wait_until_gone(pid: int) -> None:
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=PATIENCE)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_calls_reach_one_object_in_order(launcher: Launcher) -> None:
    worker = launcher.launch("counter 1", partial(Counter, 10))
    futures = [worker.call("add", amount) for amount in (1, 2, 3)]
    assert [future.result(PATIENCE) for future in futures] == [11, 13, 16]
    assert worker.is_alive
    assert worker.name == "counter 1"


def test_arrays_pass_as_they_are(launcher: Launcher) -> None:
    sent = np.arange(1 << 20, dtype=np.int32).reshape(2, -1)
    got = launcher.launch("counter 1", Counter).call("echo", sent).result(PATIENCE)
    assert got.dtype == np.int32
    assert np.array_equal(got, sent)


def test_answers_of_unlike_sizes_reach_their_own_calls(launcher: Launcher) -> None:
    worker = launcher.launch("counter 1", Counter)
    contents = [bytes([number]) * (1 << 22 if number % 2 else 1) for number in range(20)]
    futures = [worker.call("echo", content) for content in contents]
    assert [future.result(PATIENCE) == content for future, content in zip(futures, contents, strict=True)] == [
        True
    ] * 20


def test_what_a_method_raises_is_raised_here(launcher: Launcher) -> None:
    worker = launcher.launch("counter 1", Counter)
    refused = error_of(worker.call("refuse"))
    assert isinstance(refused, UserError)
    assert (refused.file, refused.field, refused.message) == ("recipe.toml", "stages.zero", "is wrong")
    assert isinstance(error_of(worker.call("find_fault")), Fault)
    failed = error_of(worker.call("fail"))
    assert isinstance(failed, CallFailed)
    assert str(failed) == "counter 1: KeyError: 'no such thing'"
    assert isinstance(error_of(worker.call("no_such_method")), CallFailed)
    assert worker.call("add", 5).result(PATIENCE) == 5  # it goes on


def test_an_object_that_cannot_be_made_fails_each_call(launcher: Launcher) -> None:
    worker = launcher.launch("counter 1", make_nothing)
    for _ in range(2):
        error = error_of(worker.call("add", 1))
        assert isinstance(error, UserError)
        assert error.field == "model.engine"


def test_a_worker_that_was_ended_answers_no_more(launcher: Launcher) -> None:
    worker = launcher.launch("counter 1", Counter)
    worker.kill()
    assert not worker.is_alive
    assert str(error_of(worker.call("add", 1))) == "counter 1 was ended"
    worker.kill()


def test_a_worker_has_a_process_and_threads_of_its_own() -> None:
    launcher = ProcessLauncher()
    worker = launcher.launch("counter 1", Counter, cpus=3)
    assert worker.call("pid").result(PATIENCE) != os.getpid()
    assert worker.call("threads").result(PATIENCE) == "3"
    launcher.close()
    assert not worker.is_alive


def test_an_answer_that_cannot_be_sent_fails_its_call_alone(worker: ProcessWorker) -> None:
    assert "cannot pickle" in str(error_of(worker.call("give_unpicklable")))
    assert worker.call("add", 1).result(PATIENCE) == 1


def test_a_killed_process_fails_every_open_call(worker: ProcessWorker) -> None:
    futures = [worker.call("wait"), worker.call("add", 1)]
    os.kill(worker.pid, signal.SIGKILL)
    for future in futures:
        error = error_of(future)
        assert isinstance(error, WorkerDied)
        assert str(error) == "counter 1 was killed by SIGKILL"
    assert not worker.is_alive


def test_the_error_repeats_what_the_process_wrote_last(worker: ProcessWorker) -> None:
    assert str(error_of(worker.call("die", "out of\nmemory"))).endswith("SIGKILL; it wrote last: ...out of memory")


def test_an_exit_code_is_named(worker: ProcessWorker) -> None:
    assert "ended with exit code 7" in str(error_of(worker.call("leave", 7)))


def test_a_stopped_process_is_noticed_and_ended(worker: ProcessWorker) -> None:
    error = error_of(worker.call("stop"))
    assert isinstance(error, WorkerSilent)
    wait_until_gone(worker.pid)


def test_a_stopped_process_is_noticed_without_a_call(worker: ProcessWorker) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE
    while worker.is_alive and time.monotonic() < deadline:
        os.sched_yield()
    assert isinstance(error_of(worker.call("add", 1)), WorkerSilent)


def test_a_call_over_its_limit_ends_the_worker(worker: ProcessWorker) -> None:
    waiting, behind = worker.call("wait", seconds=0.2), worker.call("add", 1)
    error = error_of(waiting)
    assert isinstance(error, CallOverdue)
    assert str(error) == "counter 1 took more than 0.2 s for wait, and was ended"
    assert isinstance(error_of(behind), CallOverdue)


def test_a_limit_counts_from_when_its_turn_comes(worker: ProcessWorker) -> None:
    before = worker.call("wait")
    behind = worker.call("add", 1, seconds=0.0)
    worker.kill()
    assert isinstance(error_of(before), WorkerDied)
    assert isinstance(error_of(behind), WorkerDied)  # not overdue: it never began


def test_what_a_worker_has_started_ends_with_it(worker: ProcessWorker) -> None:
    pid = worker.call("start_child").result(PATIENCE)
    worker.kill()
    wait_until_gone(pid)


DRIVER = """
import os, signal, sys
from dunwu.workers.process import ProcessWorker
from tests.unit.workers.objects import Counter
worker = ProcessWorker("counter 1", Counter)
print(worker.call("pid").result(), flush=True)
if sys.argv[1] == "stopped":
    os.kill(worker.pid, signal.SIGSTOP)
    print("stopped", flush=True)
if sys.argv[1] == "waiting":
    worker.call("wait")
    print("waiting", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process by a closed pipe")
@pytest.mark.parametrize("state", ["waiting", "stopped"])
def test_a_worker_ends_with_its_driver_whatever_it_does(state: str) -> None:
    root = Path(__file__).parents[3]
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert driver.stdout is not None
    pid = int(driver.stdout.readline())
    assert driver.stdout.readline().strip() == state
    driver.kill()
    driver.wait()
    driver.stdout.close()
    wait_until_gone(pid)


def test_a_process_that_is_stopped_while_it_starts_is_noticed() -> None:
    worker = ProcessWorker("counter 1", wait_for_ever)
    os.kill(worker.pid, signal.SIGSTOP)
    assert isinstance(error_of(worker.call("add", 1)), WorkerSilent)
    worker.kill()


def test_a_dead_actor_is_noticed(ray: RayLauncher) -> None:
    worker = ray.launch("counter 1", Counter)
    pid = worker.call("pid").result(PATIENCE)
    waiting, behind = worker.call("wait"), worker.call("add", 1)
    os.kill(pid, signal.SIGKILL)
    for future in (waiting, behind):
        assert isinstance(error_of(future), WorkerDied)
    assert not worker.is_alive


def test_a_stopped_actor_is_noticed_and_ended(ray: RayLauncher) -> None:
    worker = ray.launch("counter 1", Counter)
    pid = worker.call("pid").result(PATIENCE)
    assert isinstance(error_of(worker.call("stop")), WorkerSilent)
    wait_until_gone(pid)


def test_a_call_of_an_actor_over_its_limit_ends_it(ray: RayLauncher) -> None:
    worker = ray.launch("counter 1", Counter)
    pid = worker.call("pid").result(PATIENCE)
    assert isinstance(error_of(worker.call("wait", seconds=0.2)), CallOverdue)
    wait_until_gone(pid)


def test_a_cluster_that_is_too_small_says_so_at_once(ray: RayLauncher) -> None:
    with pytest.raises(
        UserError, match=r"counter 1 wants 9999 CPU, other workers have 0, and the cluster has \d+ in all"
    ):
        ray.launch("counter 1", Counter, cpus=9999)
    ray.launch("counter 2", Counter, cpus=1)
    with pytest.raises(UserError, match="other workers have 1"):
        ray.launch("counter 3", Counter, cpus=9999)


def test_signals_are_still_ours_beside_ray(ray: RayLauncher) -> None:
    script = """
import signal
def mine(*_): pass
signal.signal(signal.SIGTERM, mine)
from dunwu.workers.ray_actors import RayLauncher, check_address
RayLauncher("local")
print(signal.getsignal(signal.SIGTERM) is mine)
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert shown.stdout.split()[-1] == "True"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("127.0.0.1:9", "no cluster answers at 127.0.0.1:9: "),
        ("127.0.0.1:99999", "no cluster answers"),
        ("a..b:6379", "no cluster answers at a..b:6379"),
        ("head", "is no address of a head: write HOST:PORT"),
        ("ray://head", "is no address of a head"),
    ],
)
def test_an_address_without_a_cluster_is_refused_at_once(address: str, text: str) -> None:
    with pytest.raises(UserError, match=text) as refused:
        check_address(address)
    assert refused.value.field == "cluster"
