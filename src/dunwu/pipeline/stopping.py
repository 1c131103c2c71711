"""SIGTERM and SIGINT ask a run to stop; where it may stop at once and where it first ends what it does."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from dunwu.errors import Interrupted

GRACE_SECONDS = 5.0
"""How long a stop may wait for updates to end: with the checkpoint after it, a SIGTERM is obeyed within 10 s."""


class StopSignal:
    """Context manager: while it is open, SIGTERM and SIGINT set ``requested``, and inside ``interruptible()`` raise
    ``Interrupted`` at once.

    Generating can be cut anywhere, because its samples come again from their seeds. Optimizer steps cannot, because
    half an update is no policy: there ``pace`` says where the run ends. Outside the main thread, where Python delivers
    no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._at_once = False
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Inside, a request to stop (also one that came before) raises Interrupted."""
        self._at_once = True
        try:
            if self.requested:
                raise Interrupted("asked to stop")
            yield
        finally:
            self._at_once = False

    def pace(self, updates: int) -> Callable[[int, float], None]:
        """A check to call during ``updates`` optimizer steps, with the number done and the share of the one under way.

        In the first step, which has changed nothing yet, a request to stop raises Interrupted at once. Later it waits
        for the last step where by the pace so far that takes less than ``GRACE_SECONDS``, and raises where not.
        """
        began = time.monotonic()

        def check(steps: int, share: float) -> None:
            if not self.requested:
                return
            done = steps + share
            if steps == 0 or (time.monotonic() - began) / done * (updates - done) > GRACE_SECONDS:
                raise Interrupted("asked to stop")

        return check

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if self._at_once:
            # Once is enough: the checkpoint that follows must not be cut by a second signal.
            self._at_once = False
            raise Interrupted("asked to stop")
