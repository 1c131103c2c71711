"""``dunwu serve``: the application on this machine's loopback, for as long as it is wanted."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Timer
from types import FrameType

import uvicorn

from dunwu.loopback import LOOPBACK
from dunwu.serve.answering import Answerer
from dunwu.serve.http.app import make_app
from dunwu.serve.http.connections import IDLE_SECONDS, Connection, count_connections
from dunwu.serve.review.expiry import Expiry
from dunwu.serve.review.keys import Keys
from dunwu.serve.review.webhooks import WebhookSender
from dunwu.serve.reviewer import Reviewer

BACKLOG = 128
"""Connections that the system keeps for us, and that are taken at once; see ``loopback.listen``."""
WRITING_SECONDS = 5
"""For errors to be written to whoever is still waiting when the patience has ended."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread must let another have the interpreter: with Python's own 5 ms, a thread that comes back
from a kernel may wait for longer than its step took, and 64 clients get a tenth fewer tokens."""


def serve(
    answerer: Answerer,
    listener: socket.socket,
    announce: Callable[[str], None],
    *,
    keys: Keys | None = None,
    patience: int,
) -> None:
    """Serve until the process is asked to stop; requests that are there are finished first.

    Args:
        answerer: who answers; it is closed, too.
        listener: where; see ``loopback.listen``.
        announce: is called with the address once it answers there.
        keys: see ``make_app``.
        patience: seconds that requests may still take.

    Raises:
        Fault: held answers cannot be looked through.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    with ExitStack() as running:
        running.callback(answerer.close)
        if answerer.reviewer:
            for one in _make_keepers(answerer.reviewer):
                one.start()
                running.callback(one.close)
        announce(f"http://{LOOPBACK}:{listener.getsockname()[1]}")
        end = Timer(patience, answerer.service.stop, [0.0])
        running.callback(end.cancel)
        _Server(configure(answerer, keys, patience=patience), end).run(sockets=[listener])


def _make_keepers(reviewer: Reviewer) -> tuple[Expiry, WebhookSender]:
    """Make what looks after the held answers: the first gives up what is too old, the second tells clients of it."""
    return Expiry(reviewer.queue, reviewer.policy.expire_seconds), WebhookSender(reviewer.queue)


class _Server(uvicorn.Server):
    """Stops at a signal, and leaves it at that: uvicorn would raise it once more when all requests have ended.

    Args:
        config: see ``configure``.
        end: begins to run at the first signal, and ends what is unfinished: uvicorn would cancel it without a word.
    """

    def __init__(self, config: uvicorn.Config, end: Timer) -> None:
        super().__init__(config)
        self._end = end

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._end.start()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def configure(answerer: Answerer, keys: Keys | None, *, patience: int) -> uvicorn.Config:
    """Configure the server: what a request may be before the application sees it, and how it ends.

    Args:
        answerer: see ``serve``.
        keys: see ``make_app``.
        patience: see ``serve``.

    Returns:
        What uvicorn runs by.
    """
    return uvicorn.Config(
        make_app(answerer, keys),
        http=Connection,
        ws="none",
        log_level="warning",
        limit_concurrency=count_connections(),
        timeout_keep_alive=IDLE_SECONDS,
        backlog=BACKLOG,
        timeout_graceful_shutdown=patience + WRITING_SECONDS,
    )
