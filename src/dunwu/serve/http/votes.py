"""Requests with ``vote``: threads ask for the samples, and the loop waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Final

from starlette.types import Receive

from dunwu.serve.ballot import Vote
from dunwu.serve.records import ChatRequest
from dunwu.serve.service import GenerationService
from dunwu.serve.voting import Voted, vote

MOST_VOTES: Final = 64
"""Votes that are held at once; others wait."""


class VotingBooth:
    """Holds votes in threads of its own.

    Args:
        service: what generates.
    """

    def __init__(self, service: GenerationService) -> None:
        self._service = service
        self._threads = ThreadPoolExecutor(MOST_VOTES, "vote")

    async def hold(
        self, request: ChatRequest, confidence: float | None, receive: Receive
    ) -> AsyncGenerator[Vote | Voted]:
        """Yield the vote after each sample, and at last what was voted on; a client who leaves ends it.

        Args:
            request: with a seed for each sample.
            confidence: at which it is decided; None: when the leader cannot be caught.
            receive: of ASGI; its body has been read.

        Raises:
            UserError: see ``voting.vote``.
            Fault: see ``voting.vote``.
        """
        loop, left = asyncio.get_running_loop(), Event()
        reports: asyncio.Queue[Vote | None] = asyncio.Queue()

        def report(counted: Vote | None) -> None:
            loop.call_soon_threadsafe(reports.put_nowait, counted)

        holding = partial(vote, self._service, request, confidence=confidence, report=report, left=left)
        held = loop.run_in_executor(self._threads, holding)
        held.add_done_callback(lambda _: reports.put_nowait(None))
        leaving = asyncio.create_task(self._wait_for_leaving(receive, left))
        try:
            while (counted := await reports.get()) is not None:
                yield counted
            yield await held
        finally:
            leaving.cancel()
            self._give_up(left)

    async def _wait_for_leaving(self, receive: Receive, left: Event) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._give_up(left)

    def _give_up(self, left: Event) -> None:
        left.set()
        self._service.wake()
