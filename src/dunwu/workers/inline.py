"""A worker in this process: a call is an ordinary call, and its future is there at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from dunwu.errors import Fault, Interrupted, UserError
from dunwu.workers.worker import CallFailed, Worker, WorkerDied


class InlineWorker:
    """See ``worker.Worker``. Its object is made by the first call; nothing limits a call.

    Args:
        name: what errors call it.
        make: makes the object.
    """

    def __init__(self, name: str, make: Callable[[], object]) -> None:
        self.name = name
        self._make = make
        self._made: object = None
        self.is_alive = True

    def call(self, method: str, *arguments: Any, seconds: float | None = None) -> Future[Any]:
        """See ``worker.Worker``."""
        future: Future[Any] = Future()
        if not self.is_alive:
            future.set_exception(WorkerDied(self.name, "was ended"))
            return future
        try:
            if self._made is None:
                self._made = self._make()
            future.set_result(getattr(self._made, method)(*arguments))
        except (UserError, Fault) as error:
            future.set_exception(error)
        except Interrupted:  # whoever is asked to stop here is the caller
            raise
        except Exception as error:
            failed = CallFailed(self.name, f"{type(error).__name__}: {error}")
            failed.__cause__ = error
            future.set_exception(failed)
        return future

    def kill(self) -> None:
        """See ``worker.Worker``."""
        self.is_alive, self._made = False, None


class InlineLauncher:
    """See ``worker.Launcher``."""

    def __init__(self) -> None:
        self._workers: list[InlineWorker] = []

    def launch(self, name: str, make: Callable[[], object], *, cpus: int = 1, gpus: float = 0.0) -> Worker:
        """See ``worker.Launcher``."""
        self._workers.append(InlineWorker(name, make))
        return self._workers[-1]

    def close(self) -> None:
        """See ``worker.Launcher``."""
        for worker in self._workers:
            worker.kill()
