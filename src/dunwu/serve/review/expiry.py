"""Held answers that nobody decided in time are given up: when the server starts, and then every minute."""

from __future__ import annotations

import threading
from typing import Final

from dunwu.errors import Fault, UserError
from dunwu.serve.review.held_queue import HeldQueue

LOOK_SECONDS: Final = 60.0
"""How often the queue is looked through."""


class Expiry:
    """Looks through a queue, in a thread of its own.

    Args:
        queue: What waits.
        seconds: How long an answer may wait.
    """

    def __init__(self, queue: HeldQueue, seconds: float) -> None:
        self._queue, self._seconds = queue, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="expiry", daemon=True)

    def start(self) -> None:
        """Give up what is too old already, before anybody asks for it, and go on from there.

        Raises:
            Fault: The file system refuses.
        """
        self._queue.expire(self._seconds)
        self._thread.start()

    def close(self) -> None:
        """Stop; the queue is closed after this."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self._queue.expire(self._seconds)
            except (Fault, UserError):  # a full disk may have room again; until then the answers wait
                continue
