"""The engine over workers: it deals out what is wanted, and asks again for what a lost worker owes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from dunwu.errors import Fault, counted
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.engine import Sample
from dunwu.rollout.weight_folder import WeightFolder
from dunwu.rollout.workers.host import EngineHost, Finished
from dunwu.types import Completion, GenerationRequest, Sampling
from dunwu.workers.worker import CallFailed, Launcher, Worker, WorkerLost

TAKE_SECONDS = 1.0
CALL_SECONDS = 60.0
"""How long a call may take that computes nothing."""
UPDATE_SECONDS = 600.0
LOSSES = 3
"""Workers lost in one place, one after another without a completion between them, that end the run."""


@dataclass(slots=True)
class Place:
    """One of the workers, or the one that took its place.

    Attributes:
        name: what people read.
        worker: who is there now.
        task: the number of what it does.
        owed: for each request and seed that it was given, whose sample that is.
        losses: how many were lost here since the last completion.
    """

    name: str
    worker: Worker
    task: int = 0
    owed: dict[Sample, Sample] = field(default_factory=dict)
    losses: int = 0


class Publisher(Protocol):
    """Makes new weights readable for workers."""

    def publish(self, update: WeightUpdate) -> object:
        """Return what a worker is called with to get the update."""

    def close(self) -> None:
        """Take back what was made."""


class WorkerEngine:
    """See ``engine.Engine``. Which worker writes a completion changes nothing in it.

    Args:
        launcher: starts workers.
        make_host: makes an engine's host in a worker, with the weights of version 0.
        workers: how many.
        cpus: cores of each.
        gpus: devices of each.
        message: takes what the user should know though the run goes on.
        publisher: brings new weights to the workers; None: by a file of this machine.

    Raises:
        UserError: the engine cannot be built.
        Fault: a worker cannot be started.
    """

    def __init__(
        self,
        launcher: Launcher,
        make_host: Callable[[], EngineHost],
        *,
        workers: int,
        cpus: int = 1,
        gpus: float = 0.0,
        message: Callable[[str], None] = lambda text: None,
        publisher: Publisher | None = None,
    ) -> None:
        self._launcher, self._make_host, self._message = launcher, make_host, message
        self._cpus, self._gpus = cpus, gpus
        self._publisher: Publisher = WeightFolder() if publisher is None else publisher
        self._update: object = None
        self._tasks = 0
        self._closed, self._changing = False, threading.Lock()
        names = [f"rollout worker {number + 1}" for number in range(workers)]
        self._places = [Place(name, self._launch(name)) for name in names]
        self.policy_version = 0
        try:
            for place, call in [(place, self._call_ready(place)) for place in self._places]:
                if (lost := self._find_loss(place, call)) is not None:
                    self._replace(place, lost)
        except BaseException:
            self.close()
            raise

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        """See ``engine.Engine``. It begins at once, not when the first completion is asked for.

        Raises:
            UserError: see ``TorchEngine.generate``.
            Fault: workers die or hang one after another, or one wrote with weights of another version.
        """
        shares: list[list[Sample]] = [[] for _ in self._places]
        for number, request in enumerate(requests):
            shares[number % len(shares)] += [Sample(number, index) for index in range(len(request.seeds))]
        working = [place for place, share in zip(self._places, shares, strict=True) if share]
        for place, share in zip(self._places, shares, strict=True):
            self._start(place, share, requests, sampling)
        return self._take(working, requests, sampling)

    def update_weights(self, update: WeightUpdate) -> None:
        """See ``engine.Engine``.

        Raises:
            Fault: workers die or hang one after another.
        """
        published = self._publisher.publish(update)
        calls = [
            (place, place.worker.call("update_weights", published, seconds=UPDATE_SECONDS)) for place in self._places
        ]
        lost: list[tuple[Place, WorkerLost]] = []
        for place, call in calls:
            try:
                if problem := call.result():
                    raise ValueError(problem)
            except WorkerLost as lost_one:
                lost.append((place, lost_one))
        self._update, self.policy_version = published, update.version
        for place, error in lost:
            self._replace(place, error)

    def close(self) -> None:
        """See ``engine.Engine``; whoever waits for completions in another thread gets a Fault."""
        with self._changing:
            self._closed = True
        for place in self._places:
            place.worker.call("close", seconds=CALL_SECONDS)
            place.worker.kill()
        self._publisher.close()

    def _take(
        self, working: Sequence[Place], requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        calls = {self._call_take(place): place for place in working}
        try:
            while calls:
                for call in wait(calls, return_when=FIRST_COMPLETED).done:
                    place = calls.pop(call)
                    try:
                        finished = call.result()
                    except WorkerLost as lost:
                        owed = list(place.owed.values())
                        self._replace(place, lost, f", and {counted(len(owed), 'completion')} of it are made again")
                        self._start(place, owed, requests, sampling)
                        finished = []
                    for one in finished:
                        if one.task == place.task:
                            place.losses = 0
                            yield self._accept(place, one)
                    if place.owed:
                        calls[self._call_take(place)] = place
        finally:
            for place in working:
                if place.owed:
                    place.worker.call("abort", place.task, seconds=CALL_SECONDS)

    def _accept(self, place: Place, finished: Finished) -> tuple[Sample, Completion]:
        versions = {span.version for span in finished.completion.version_spans}
        if versions - {self.policy_version}:
            text = f"{place.name} wrote with version {min(versions)} of the weights"
            raise Fault(f"{text}, and was given version {self.policy_version}; nothing was learnt from it")
        return place.owed.pop(finished.sample), finished.completion

    def _call_take(self, place: Place) -> Future[list[Finished]]:
        return place.worker.call("take", TAKE_SECONDS, seconds=CALL_SECONDS)

    def _start(
        self, place: Place, share: Sequence[Sample], requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> None:
        """Ask a worker for some of the samples."""
        wanted: dict[int, list[Sample]] = {}
        for sample in share:
            wanted.setdefault(sample.request, []).append(sample)
        place.owed = {
            Sample(number, index): sample
            for number, samples in enumerate(wanted.values())
            for index, sample in enumerate(samples)
        }
        parts = [
            replace(requests[number], seeds=tuple(requests[number].seeds[sample.index] for sample in samples))
            for number, samples in wanted.items()
        ]
        if not parts:
            return
        self._tasks += 1
        place.task = self._tasks
        place.worker.call("start", place.task, parts, sampling, seconds=CALL_SECONDS)

    def _call_ready(self, place: Place) -> Future[str | None]:
        """Ask a new worker to say when it is there, with the newest weights."""
        if self._update is None:
            return place.worker.call("check_ready")
        return place.worker.call("update_weights", self._update, seconds=UPDATE_SECONDS)

    def _find_loss(self, place: Place, call: Future[str | None]) -> WorkerLost | None:
        """Wait until a worker is ready; return what became of it where it was lost before."""
        try:
            problem = call.result()
        except WorkerLost as lost:
            return lost
        except CallFailed as failed:
            raise Fault(f"{failed}: it cannot be started") from failed
        if problem is not None:
            raise Fault(f"{place.name} refuses the weights that the one before it had: {problem}")
        return None

    def _launch(self, name: str) -> Worker:
        return self._launcher.launch(name, self._make_host, cpus=self._cpus, gpus=self._gpus)

    def _replace(self, place: Place, lost: WorkerLost, more: str = "") -> None:
        """Put another worker in the place of a lost one, with the newest weights.

        Raises:
            Fault: too many were lost without a completion between them.
        """
        while True:
            with suppress(Exception):
                place.worker.kill()
            place.losses += 1
            if place.losses >= LOSSES:
                raise Fault(f"{lost}; {counted(place.losses, 'worker')} in a row: the newest checkpoint stands")
            self._message(f"{lost}; another takes its place{more}")
            with self._changing:  # whoever closes the engine ends every worker that there is
                if self._closed:
                    raise Fault("the engine was closed")
                place.worker = self._launch(place.name)
            if (again := self._find_loss(place, self._call_ready(place))) is None:
                return
            lost = again
