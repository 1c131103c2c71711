"""A reply as server-sent events, for as long as the client listens."""

from __future__ import annotations

from contextlib import aclosing

from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from dunwu.errors import Fault
from dunwu.serve.http.completions import DONE, Heading, write_error_event, write_events, write_start, write_usage_event
from dunwu.serve.http.errors import render_error
from dunwu.serve.http.news import News
from dunwu.serve.service import Reply


class EventStream(Response):
    """See the module.

    Args:
        heading: of all events.
        reply: of the service.
        news: wakes us.
        includes_usage: a last event says how many tokens there were.
    """

    media_type = "text/event-stream"

    def __init__(self, heading: Heading, reply: Reply, news: News, *, includes_usage: bool) -> None:
        self.status_code, self.background = 200, None
        self._heading, self._reply, self._news, self._includes_usage = heading, reply, news, includes_usage
        self.init_headers({"X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def write(content: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await write(write_start(self._heading, len(self._reply.writers)))
        try:
            async with aclosing(self._news.listen(self._reply, receive)) as gains:
                async for pieces in gains:
                    await write(write_events(self._heading, pieces))
            if self._includes_usage:
                await write(write_usage_event(self._heading, self._reply))
            await write(DONE, more=False)
        except Fault as error:
            await write(write_error_event(render_error(error)[1]), more=False)
