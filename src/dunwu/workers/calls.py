"""The calls of one worker that are not answered yet, in order; what a worker's own threads agree on."""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from dunwu.workers.worker import START_SECONDS, CallFailed, CallOverdue, WorkerLost


@dataclass(slots=True, eq=False)
class Call:
    """A call under way; ``began`` is when its turn came, on the monotonic clock."""

    method: str
    seconds: float | None
    future: Future[Any] = field(default_factory=Future)
    began: float = 0.0


class OpenCalls:
    """Calls begin in the order in which they were made; once the worker is lost, all of them fail.

    Args:
        name: the worker's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: deque[Call] = deque()
        self._ready = False
        self._started = time.monotonic()
        self.lost: WorkerLost | None = None
        self.lock = threading.RLock()
        """Held by whoever sends a call, so that calls are sent in the order in which they stand here."""

    def add(self, method: str, seconds: float | None) -> Call:
        """Put a call behind the others; its future has failed where the worker is lost."""
        call = Call(method, seconds)
        with self.lock:
            if self.lost is not None:
                call.future.set_exception(self.lost)
                return call
            self._calls.append(call)
            self._begin_first()
        return call

    def set_ready(self) -> None:
        """Let the first call's time begin: the worker has made its object."""
        with self.lock:
            self._ready = True
            self._begin_first()

    def answer(self, returned: bool, content: bytes, call: Call | None = None) -> None:
        """Answer a call.

        Args:
            returned: whether ``content`` was returned; else it was raised.
            content: what the method gave, pickled.
            call: which; None: the first. Answers of unlike sizes may overtake each other on their way.
        """
        try:
            given = pickle.loads(content)
        except Exception as error:
            returned, given = False, CallFailed(self._name, f"its answer cannot be read here: {error}")
        with self.lock:
            if self.lost is not None:
                return
            call = call or self._calls[0]
            self._calls.remove(call)
            self._begin_first()
        if returned:
            call.future.set_result(given)
        else:
            call.future.set_exception(given)

    def lose(self, reason: WorkerLost, end: Callable[[], None]) -> None:
        """Say that the worker is lost, and fail what is open; once, the first reason counts.

        Args:
            reason: what became of it.
            end: ends what there is of it still, before anybody hears.
        """
        with self.lock:
            if self.lost is not None:
                return
            self.lost = reason
            calls, self._calls = list(self._calls), deque()
        end()
        for call in calls:
            call.future.set_exception(reason)

    def find_overdue(self) -> CallOverdue | None:
        """Return what is wrong where the worker, or the call whose turn it is, takes longer than it may."""
        now = time.monotonic()
        with self.lock:
            call = self._calls[0] if self._calls else None
            if not self._ready:
                late = now - self._started > START_SECONDS
                text = f"was not ready after {START_SECONDS:g} s, and was ended"
                return CallOverdue(self._name, text) if late else None
            if call and call.seconds is not None and now - call.began > call.seconds:
                text = f"took more than {call.seconds:g} s for {call.method}, and was ended"
                return CallOverdue(self._name, text)
        return None

    def _begin_first(self) -> None:
        if self._calls and self._ready and not self._calls[0].began:
            self._calls[0].began = time.monotonic()
