"""``dunwu serve``: the application on this machine's loopback, for as long as it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import uvicorn

from dunwu.loopback import LOOPBACK, listen
from dunwu.serve.http.app import make_app
from dunwu.serve.service import GenerationService

MOST_CONNECTIONS = 1024
"""Open at once; more are answered with 503."""


def serve(
    service: GenerationService, port: int, announce: Callable[[str], None], *, keys: Sequence[str] = (), patience: int
) -> None:
    """Serve until the process is asked to stop; requests that are there are finished first.

    Args:
        service: what generates; it is stopped, too.
        port: where; 0 for any port that is free.
        announce: is called with the address once it answers there.
        keys: see ``make_app``.
        patience: seconds that requests may still take.

    Raises:
        UserError: the port is taken.
    """
    listener = listen(port, "dunwu serve")
    try:
        announce(f"http://{LOOPBACK}:{listener.getsockname()[1]}")
        uvicorn.Server(configure(service, keys, patience=patience)).run(sockets=[listener])
    finally:
        service.stop(0.0)


def configure(service: GenerationService, keys: Sequence[str], *, patience: int) -> uvicorn.Config:
    """Configure the server: what a request may be before the application sees it, and how it ends; see ``serve``."""
    return uvicorn.Config(
        make_app(service, keys),
        http="h11",
        ws="none",
        log_level="warning",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=patience,
    )
