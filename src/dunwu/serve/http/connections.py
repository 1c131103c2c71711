"""Connections that have an end: whoever sends no whole request in time, or reads no answer, gives its place back.

waiting   no whole request is there: for at most ``WHOLE_SECONDS``, between two requests ``IDLE_SECONDS``
busy      a request is answered: as long as it takes, while the client reads
full      who waits longest makes room for who comes, idle ones first; where all are busy, a request gets 503

A client that closes its half of a connection has left: TCP says the same of both.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Final, cast

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from dunwu.serve.http.errors import Refusal, respond

MOST_CONNECTIONS: Final = 1024
"""Open at once, where the system lets us have twice as many files."""
WHOLE_SECONDS: Final = 30.0
"""For all of a request, headers and body, however few bytes come at a time."""
IDLE_SECONDS: Final = 15
"""Between an answer and the next request on its connection."""
UNREAD_SECONDS: Final = 60.0
"""How long a client may take nothing of an answer that does not fit into the system's buffers."""


def count_connections() -> int:
    """Return how many connections may be open: the other half of the files is for all else, and for a rush."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, files // 2)


class Connection(H11Protocol):
    """See the module; HTTP itself is uvicorn's."""

    _most: int | None = None
    _since = 0.0
    _has_begun = False
    _deadline: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room where there is none, and wait for a request."""
        super().connection_made(transport)
        self._most, self.limit_concurrency = self.limit_concurrency, None  # uvicorn would refuse in plain text
        if self._is_full:
            self._make_room()
        self._follow()

    def handle_events(self) -> None:
        """Choose who answers the next request: the application, or its refusal."""
        self.app = _refuse if self._is_full else self.config.loaded_app
        super().handle_events()

    def data_received(self, data: bytes) -> None:
        """Read what has come; the end of the bound does not move with it."""
        had_more = self.conn.their_state is h11.SEND_BODY
        self._has_begun = True
        super().data_received(data)
        if had_more and self.conn.their_state is h11.IDLE:  # the rest of a body that its answer did not wait for
            self._stop_waiting()
        self._follow()

    def on_response_complete(self) -> None:
        """Wait for the next request, which may be there already."""
        super().on_response_complete()
        self._follow()

    def pause_writing(self) -> None:
        """Bound how long the client may leave an answer unread."""
        super().pause_writing()
        self._reading = self.loop.call_later(UNREAD_SECONDS, self.give_up)

    def resume_writing(self) -> None:
        """Let the answer go on."""
        super().resume_writing()
        self._stop_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_waiting()
        self._stop_reading()
        super().connection_lost(exc)

    @property
    def _is_full(self) -> bool:
        return self._most is not None and max(len(self.connections), len(self.tasks)) >= self._most

    @property
    def is_busy(self) -> bool:
        """Whether a whole request is there whose answer has not ended."""
        is_whole = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        return is_whole and self.cycle is not None and not self.cycle.response_complete

    def give_up(self) -> None:
        """Close the connection at once; its place is free."""
        self.connections.discard(self)
        self.transport.abort()

    def _follow(self) -> None:
        """Bound the time without a whole request, from where it began."""
        if self.is_busy:
            self._stop_waiting()
        elif self._deadline is None:
            self._since, self._has_begun = self.loop.time(), False
            self._deadline = self.loop.call_later(WHOLE_SECONDS, self.give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _make_room(self) -> None:
        """Close the connection that waits longest: one that has sent nothing before one that has begun a request."""
        others = cast("set[Connection]", self.connections)
        waiting = (one for one in others if one is not self and not one.is_busy)
        longest = min(waiting, key=lambda one: (one._has_begun, one._since), default=None)
        if longest is not None:
            longest.give_up()


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for which there is no place, and close its connection."""
    response = respond(Refusal(503, "all connections are busy: ask again later", code="busy"))
    response.headers["Connection"] = "close"
    await response(scope, receive, send)
