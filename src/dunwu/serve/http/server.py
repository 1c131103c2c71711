"""``dunwu serve``: the application on this machine's loopback, for as long as it is wanted."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from dunwu.loopback import LOOPBACK, listen
from dunwu.serve.answering import Answerer
from dunwu.serve.http.app import make_app
from dunwu.serve.http.connections import IDLE_SECONDS, Connection, count_connections
from dunwu.serve.review.keys import Keys
from dunwu.serve.review.webhooks import WebhookSender

BACKLOG = 128
"""Connections that the system keeps for us, and that are taken at once; see ``loopback.listen``."""


def serve(
    answerer: Answerer, port: int, announce: Callable[[str], None], *, keys: Keys | None = None, patience: int
) -> None:
    """Serve until the process is asked to stop; requests that are there are finished first.

    Args:
        answerer: who answers; its service is stopped, too.
        port: where; 0 for any port that is free.
        announce: is called with the address once it answers there.
        keys: see ``make_app``.
        patience: seconds that requests may still take.

    Raises:
        UserError: the port is taken.
    """
    listener = listen(port, "dunwu serve")
    notices = WebhookSender(answerer.reviewer.queue) if answerer.reviewer else None
    try:
        if notices:
            notices.start()
        announce(f"http://{LOOPBACK}:{listener.getsockname()[1]}")
        _Server(configure(answerer, keys, patience=patience)).run(sockets=[listener])
    finally:
        if notices:
            notices.close()
        answerer.close()


class _Server(uvicorn.Server):
    """Stops at a signal, and leaves it at that: uvicorn would raise it once more when all requests have ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def configure(answerer: Answerer, keys: Keys | None, *, patience: int) -> uvicorn.Config:
    """Configure the server: what a request may be before the application sees it, and how it ends; see ``serve``."""
    return uvicorn.Config(
        make_app(answerer, keys),
        http=Connection,
        ws="none",
        log_level="warning",
        limit_concurrency=count_connections(),
        timeout_keep_alive=IDLE_SECONDS,
        backlog=BACKLOG,
        timeout_graceful_shutdown=patience,
    )
