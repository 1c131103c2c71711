"""What lives in a worker that generates: an engine in a thread of its own, driven by short calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread

from dunwu.models.weights import WeightUpdate
from dunwu.rollout.engine import Engine, Sample
from dunwu.types import Completion, GenerationRequest, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A completion; ``task`` is the number that ``start`` gave."""

    task: int
    sample: Sample
    completion: Completion


class EngineHost:
    """Runs an engine for whoever is elsewhere. What it is asked for, its thread does in order.

    Args:
        build: builds the engine.
    """

    def __init__(self, build: Callable[[], Engine]) -> None:
        self._engine = build()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._finished: SimpleQueue[Finished | BaseException] = SimpleQueue()
        self._task = 0
        Thread(target=self._run, name="engine host", daemon=True).start()

    def check_ready(self) -> None:
        """Do nothing: whoever gets an answer knows that the engine is there."""

    def start(self, task: int, requests: Sequence[GenerationRequest], sampling: Sampling) -> None:
        """Give up what is generated, and begin something else.

        Args:
            task: its number, larger than those before.
            requests: see ``Engine.generate``.
            sampling: see ``Engine.generate``.
        """
        self._task = task
        self._work.put(partial(self._generate, task, requests, sampling))

    def take(self, seconds: float) -> list[Finished]:
        """Wait for completions.

        Args:
            seconds: how long, at most.

        Returns:
            What has been finished since the last call; nothing where the time is over.

        Raises:
            UserError: see ``TorchEngine.generate``; whatever else the engine raised.
        """
        taken: list[Finished] = []
        try:
            while True:
                one = self._finished.get_nowait() if taken else self._finished.get(timeout=seconds)
                if isinstance(one, BaseException):
                    raise one
                taken.append(one)
        except Empty:
            return taken

    def abort(self, task: int) -> None:
        """Give up a task at its next completion; what it has finished may still be taken."""
        if task == self._task:
            self._task = 0

    def update_weights(self, update: WeightUpdate) -> str | None:
        """Take new weights, behind what is under way.

        Returns:
            What is wrong with them, where the engine goes on with the old ones; None: nothing.
        """
        future: Future[None] = Future()
        self._work.put(partial(self._update, update, future))
        try:
            return future.result()
        except ValueError as error:
            return str(error)

    def close(self) -> None:
        """Give up what is generated, and end the thread; for hosts in a process that goes on."""
        self._task = 0
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
        self._engine.close()

    def _generate(self, task: int, requests: Sequence[GenerationRequest], sampling: Sampling) -> None:
        if task != self._task:
            return
        try:
            for sample, completion in self._engine.generate(requests, sampling):
                if task != self._task:
                    break
                self._finished.put(Finished(task=task, sample=sample, completion=completion))
        except BaseException as error:  # it is raised where completions are taken
            self._finished.put(error)

    def _update(self, update: WeightUpdate, future: Future[None]) -> None:
        try:
            self._engine.update_weights(update)
        except BaseException as error:  # it is raised where the update was asked for
            future.set_exception(error)
        else:
            future.set_result(None)
