"""From the engine's threads to the event loop: who waits for a reply is woken when it has gained something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.types import Receive

from dunwu.serve.records import Piece
from dunwu.serve.reply import Reply
from dunwu.serve.service import GenerationService


class News:
    """Wakes the loop's listeners, once a step and not once a token.

    Args:
        service: whose replies are listened to.
        loop: in which the listeners wait.
    """

    def __init__(self, service: GenerationService, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: dict[Reply, asyncio.Event] = {}
        service.on_news = self._tell

    def _tell(self, replies: list[Reply]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, replies)

    def _wake(self, replies: list[Reply]) -> None:
        for reply in replies:
            if event := self._events.get(reply):
                event.set()

    async def listen(self, reply: Reply, receive: Receive) -> AsyncGenerator[list[Piece]]:
        """Yield what a reply gains until it has ended; a client who leaves, or a listener who stops, cancels it.

        Args:
            reply: of the service.
            receive: of ASGI; its body has been read.

        Raises:
            Fault: the service failed on the way.
        """
        event = self._events[reply] = asyncio.Event()
        leaving = asyncio.create_task(_wait_for_leaving(receive, reply, event))
        try:
            while True:
                event.clear()
                finished = reply.is_finished
                if pieces := reply.take():
                    yield pieces
                if finished:
                    return
                await event.wait()
        finally:
            leaving.cancel()
            del self._events[reply]
            reply.cancel()


async def _wait_for_leaving(receive: Receive, reply: Reply, event: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reply.cancel()
    event.set()
