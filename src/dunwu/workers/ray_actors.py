"""Workers that are actors of a Ray cluster, on this machine or on others.

Ray says when an actor's process has died, and not when it hangs: so each actor is asked every second, in a thread of
its own there, whether it lives. Here only ``ref.future().result()`` waits: a signal interrupts it at once, where
``ray.get`` makes it wait or turns it into ``SystemError`` (Ray 2.60).
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from dunwu.errors import Interrupted, NotInstalled, UserError
from dunwu.workers.calls import Call, OpenCalls
from dunwu.workers.child import describe_error
from dunwu.workers.worker import SILENT_SECONDS, Worker, WorkerDied, WorkerLost, WorkerSilent

BEAT, BEAT_SECONDS = "beat", 1.0
CONNECT_SECONDS = 4.0
RECONNECT_SECONDS = 5
"""How long Ray tries to reach a head that is gone before it ends this process; by itself it is 60."""
LOOK_SECONDS = 0.2
"""Seconds between two looks."""
END_SECONDS = 2.0
"""How long the process of a lost actor may take to go before others are started in its place."""


class Occupant:
    """What lives in an actor: the object, and who looks after it. One thread calls its methods, another one beats."""

    def __init__(self, name: str, make: bytes) -> None:
        self._name, self._failed = name, b""
        self._make: bytes = make
        self._made: Any = None

    def make(self) -> tuple[int, str]:
        """Make the object; return the process's number and its node."""
        import ray

        try:
            self._made = pickle.loads(self._make)()
        except (Exception, Interrupted) as error:  # each call says so
            self._failed = describe_error(self._name, error)
        return os.getpid(), ray.get_runtime_context().get_node_id()

    def beat(self) -> None:
        """Do nothing: whoever gets an answer knows that the process lives."""

    def call(self, method: str, *arguments: Any) -> tuple[bool, bytes]:
        """Call a method; return whether it returned, and what it returned or raised."""
        if self._failed:
            return False, self._failed
        try:
            return True, pickle.dumps(getattr(self._made, method)(*arguments))
        except (Exception, Interrupted) as error:
            return False, describe_error(self._name, error)


class RayWorker:
    """See ``worker.Worker``.

    Args:
        name: what errors call it.
        make: makes the object in the actor.
        options: of the actor, as Ray calls them.
    """

    def __init__(self, name: str, make: Callable[[], object], options: dict[str, Any]) -> None:
        import ray

        self.name = name
        occupant: Any = ray.remote(concurrency_groups={BEAT: 1})(Occupant)
        self._actor = occupant.options(**options).remote(name, pickle.dumps(make))
        self._calls = OpenCalls(name)
        self._place: tuple[int, str] | None = None
        self._deaths: SimpleQueue[WorkerLost] = SimpleQueue()
        self._actor.make.remote().future().add_done_callback(self._take_place)
        self._thread = threading.Thread(target=self._look, name=f"{name}: looks", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """See ``worker.Worker``."""
        return self._calls.lost is None

    def call(self, method: str, *arguments: Any, seconds: float | None = None) -> Future[Any]:
        """See ``worker.Worker``. Arguments that Ray holds already (``RayLauncher.put``) are not sent again."""
        with self._calls.lock:
            call = self._calls.add(method, seconds)
            if self.is_alive:
                answered = self._actor.call.remote(method, *arguments).future()
                answered.add_done_callback(partial(self._answer, call))
        return call.future

    def kill(self) -> None:
        """See ``worker.Worker``."""
        self._lose(WorkerDied(self.name, "was ended"))
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _take_place(self, made: Future[tuple[int, str]]) -> None:
        try:
            self._place = made.result()
        except Exception as error:
            self._deaths.put(WorkerDied(self.name, describe_death(error)))
        else:
            self._calls.set_ready()

    def _answer(self, call: Call, answered: Future[tuple[bool, bytes]]) -> None:
        try:
            returned, content = answered.result()
        except Exception as error:
            # Not here: this is the thread in which Ray delivers answers, and ending an actor waits for one.
            self._deaths.put(WorkerDied(self.name, describe_death(error)))
            return
        self._calls.answer(returned, content, call)

    def _look(self) -> None:
        beat: Future[None] | None = None
        asked = time.monotonic()
        while self.is_alive:
            with suppress(Empty):
                self._lose(self._deaths.get(timeout=LOOK_SECONDS))
                return
            now = time.monotonic()
            if beat is not None and not beat.done():
                if now - asked > SILENT_SECONDS:
                    self._lose(WorkerSilent(self.name, "said nothing more, and was ended"))
            elif self._place is not None and now - asked > BEAT_SECONDS:
                beat, asked = self._actor.beat.options(concurrency_group=BEAT).remote().future(), now
                beat.add_done_callback(self._hear)
            if overdue := self._calls.find_overdue():
                self._lose(overdue)

    def _hear(self, beat: Future[None]) -> None:
        if error := beat.exception():
            self._deaths.put(WorkerDied(self.name, describe_death(error)))

    def _lose(self, reason: WorkerLost) -> None:
        self._calls.lose(reason, self._end)

    def _end(self) -> None:
        """Kill the actor; a process that is stopped does not hear Ray, so its node kills it."""
        import ray

        if not ray.is_initialized():  # it would be started again, or another cluster found
            return
        with suppress(Exception):
            ray.kill(self._actor, no_restart=True)
        if self._place is None:
            return
        pid, node = self._place
        there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        killing: Any = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(kill_process)
        with suppress(Exception):
            killing.remote(pid).future().result(END_SECONDS)


def kill_process(pid: int) -> None:
    """Kill a process of this node."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def describe_death(error: BaseException) -> str:
    """Say in a few words why an actor is gone."""
    text = " ".join(str(error).split())
    if "exit code" in text or "SIGKILL" in text or "unexpected" in text:
        return "died: its process ended"
    return f"died: {text:.200}"


class RayLauncher:
    """See ``worker.Launcher``.

    Args:
        address: ``local`` starts a cluster on this machine, which ends with this process; else that of a head.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        connect(address)
        self._workers: list[tuple[RayWorker, dict[str, float]]] = []

    def launch(self, name: str, make: Callable[[], object], *, cpus: int = 1, gpus: float = 0.0) -> Worker:
        """See ``worker.Launcher``."""
        import ray

        self._workers = [(worker, held) for worker, held in self._workers if worker.is_alive]
        wanted, there = {"CPU": float(cpus), "GPU": float(gpus)}, ray.cluster_resources()
        for what, amount in wanted.items():  # Ray would wait for ever
            held = sum(amounts[what] for _, amounts in self._workers)
            if held + amount > there.get(what, 0.0):
                text = f"{name} wants {amount:g} {what}, other workers have {held:g}"
                raise UserError(f"{text}, and the cluster has {there.get(what, 0.0):g} in all", field="workers")
        options = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "max_restarts": 0,
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(max(1, cpus))}},
        }
        worker = RayWorker(name, make, options)
        self._workers.append((worker, wanted))
        return worker

    @property
    def machines(self) -> int:
        """How many there are in the cluster."""
        import ray

        return sum(node["Alive"] for node in ray.nodes())

    def put(self, content: object) -> object:
        """Give the cluster something large that several workers will get; pass on what is returned."""
        import ray

        return ray.put(content)

    def close(self) -> None:
        """See ``worker.Launcher``."""
        for worker, _ in self._workers:
            worker.kill()


def connect(address: str) -> None:
    """Connect this process with a cluster, once.

    Raises:
        UserError: see ``RayLauncher``.
    """
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(RECONNECT_SECONDS))
    try:
        import ray
    except ImportError:
        raise NotInstalled("ray", "ray", field="executor") from None
    if ray.is_initialized():
        return
    check_address(address)
    with keep_handlers():
        try:
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=True,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"no cluster answers at {address}: {error}", field="cluster") from error


def check_address(address: str) -> None:
    """Check that somebody listens at a head's address: Ray itself tries for minutes.

    Raises:
        UserError: nobody does, or it is no HOST:PORT.
    """
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        text = f"{address!r} is no address of a head: write HOST:PORT, auto for the cluster of this machine, or local"
        raise UserError(text, field="cluster")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:  # a name of a host that is none
        raise UserError(f"no cluster answers at {address}: {error}", field="cluster") from None


@contextmanager
def keep_handlers() -> Iterator[None]:
    """Put back the handlers of signals that a library replaces in the block; Ray does that with SIGTERM's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
