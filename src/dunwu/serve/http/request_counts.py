"""What becomes of requests for answers: each is counted once, whatever it asks for and however it ends."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dunwu.serve.records import Busy


@dataclass(slots=True, kw_only=True)
class RequestCounts:
    """Requests for answers that have ended.

    Attributes:
        taken: all but those that were wrong or refused.
        refused: the queue was full.
        cancelled: of those that were taken, whose client left before the answer had ended.
    """

    taken: int = 0
    refused: int = 0
    cancelled: int = 0


class RequestCounter:
    """Counts the requests that it lets through.

    Args:
        app: what answers them.
        counts: is added to.
    """

    def __init__(self, app: ASGIApp, counts: RequestCounts) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        asks = scope["type"] == "http" and scope["method"] == "POST" and scope["path"].startswith("/v1/")
        if not asks or scope["path"].startswith("/v1/review/"):
            await self._app(scope, receive, send)
            return
        status, is_whole, has_left, has_ended = 0, False, False, False

        def end() -> None:
            nonlocal has_ended
            if not has_ended:
                has_ended = True
                self._count(429 if isinstance(scope.get("state", {}).get("error"), Busy) else status, has_left)

        async def receive_watched() -> Message:
            nonlocal is_whole, has_left
            message = await receive()
            if message["type"] == "http.request":
                is_whole = not message.get("more_body", False)
            elif is_whole and not has_ended:
                has_left = True
            return message

        async def send_watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                end()  # before the client has it all, and looks
            await send(message)

        try:
            await self._app(scope, receive_watched, send_watched)
        finally:
            end()

    def _count(self, status: int, has_left: bool) -> None:
        if status == 429:
            self._counts.refused += 1
        elif has_left or status in (200, 500):
            self._counts.taken += 1
            self._counts.cancelled += has_left
