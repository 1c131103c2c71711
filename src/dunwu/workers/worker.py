"""The face of every worker, and the ways in which a call to one can end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

SILENT_SECONDS = 8.0
"""How long a worker may neither speak nor compute; with the looks a second apart, noticed within 10 s."""
START_SECONDS = 1800.0
"""How long a worker may take to make its object: libraries and a model are loaded."""


class WorkerLost(Exception):  # noqa: N818  -- a finding
    """A worker is there no more, and the call is not answered.

    Args:
        worker: the worker's name.
        reason: what became of it.
    """

    def __init__(self, worker: str, reason: str) -> None:
        self.worker, self.reason = worker, reason
        super().__init__(worker, reason)

    def __str__(self) -> str:
        return f"{self.worker} {self.reason}"


class WorkerDied(WorkerLost):
    """Its process has ended."""


class WorkerSilent(WorkerLost):
    """Its process neither speaks nor computes, so it was ended: it was stopped, or hangs."""


class CallOverdue(WorkerLost):
    """A call took longer than it may, so its process was ended."""


class CallFailed(RuntimeError):  # noqa: N818  -- as the others
    """The method raised something that is none of our errors.

    Args:
        worker: the worker's name.
        text: the error's type and message.
        trace: its traceback, as text.
    """

    def __init__(self, worker: str, text: str, trace: str = "") -> None:
        self.worker, self.text, self.trace = worker, text, trace
        super().__init__(worker, text, trace)

    def __str__(self) -> str:
        return f"{self.worker}: {self.text}"


class Worker(Protocol):
    """A place where one object lives. Calls go in order, one at a time."""

    @property
    def name(self) -> str:
        """What errors call it, such as ``rollout worker 2``."""

    @property
    def is_alive(self) -> bool:
        """Whether it could still answer."""

    def call(self, method: str, *arguments: Any, seconds: float | None = None) -> Future[Any]:
        """Begin a call of the object's method, behind those that have begun.

        Args:
            method: its name.
            arguments: what can be pickled.
            seconds: how long it may take from when its turn comes; None: without a limit.

        Returns:
            What the method returns. It raises ``WorkerLost``; UserError, Fault and Interrupted as the method raised
            them; ``CallFailed`` for anything else that the method raised.
        """

    def kill(self) -> None:
        """End it and what it has started, at once; its open calls fail with ``WorkerDied``."""


class Launcher(Protocol):
    """Starts workers of one sort."""

    def launch(self, name: str, make: Callable[[], object], *, cpus: int = 1, gpus: float = 0.0) -> Worker:
        """Start a worker, without waiting until it is ready: calls wait for that.

        Args:
            name: what errors call it.
            make: makes the object there; a function of a module, or a ``partial`` of one, so that it can be pickled.
            cpus: cores that it computes with.
            gpus: devices that it holds; parts of one share it.

        Raises:
            UserError: there is no place for it.
        """

    def close(self) -> None:
        """End every worker that was started."""
