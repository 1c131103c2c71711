"""Replies as server-sent events, for as long as the client listens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from dunwu.errors import Fault, UserError
from dunwu.serve.http.bodies import write_json
from dunwu.serve.http.errors import render_error

MakeEvents = Callable[[Receive], AsyncGenerator[bytes]]
"""Makes the events; it is given what tells that the client has left."""


class EventStream(Response):
    """Sends events as they are made, and an error that comes in the middle as one of them.

    Args:
        make_events: the events.
    """

    media_type = "text/event-stream"

    def __init__(self, make_events: MakeEvents) -> None:
        self.status_code, self.background = 200, None
        self._make_events = make_events
        self.init_headers({"X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def write(content: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._make_events(receive)) as events:
                async for event in events:
                    await write(event)
            await write(b"", more=False)
        except (Fault, UserError) as error:
            scope.setdefault("state", {})["error"] = error
            await write(f"data: {write_json(render_error(error)[1])}\n\n".encode(), more=False)
