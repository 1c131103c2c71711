"""Answers that come whole: threads make them (votes, policies, stored chains), and the loop waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from threading import Event
from typing import Final
from weakref import WeakValueDictionary

from starlette.types import Receive

from dunwu.serve.answering import Answer, Answerer, Order
from dunwu.serve.ballot import Vote
from dunwu.serve.records import ChatRequest

MOST_AT_ONCE: Final = 64
"""Answers that are made so at once; others wait."""
MOST_OF_ONE: Final = 16
"""Of these that one client may have; its others wait for its own, so that nobody takes all places."""


class Desk:
    """Has requests answered in threads of its own.

    Args:
        answerer: who answers.
    """

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, "answer")
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def answer(self, request: ChatRequest, order: Order, receive: Receive) -> AsyncGenerator[Vote | Answer]:
        """Yield how a vote stands after each sample, and at last the answer; a client who leaves ends it.

        Args:
            request: see ``Answerer.answer``.
            order: see ``Answerer.answer``.
            receive: of ASGI; its body has been read.

        Raises:
            UserError: see ``Answerer.answer``.
            Fault: see ``Answerer.answer``.
        """
        places = self._places.setdefault(request.client, asyncio.Semaphore(MOST_OF_ONE))
        async with places, aclosing(self._answer(request, order, receive)) as found:
            async for one in found:
                yield one

    async def _answer(self, request: ChatRequest, order: Order, receive: Receive) -> AsyncGenerator[Vote | Answer]:
        loop, left = asyncio.get_running_loop(), Event()
        reports: asyncio.Queue[Vote | None] = asyncio.Queue()

        def report(counted: Vote | None) -> None:
            loop.call_soon_threadsafe(reports.put_nowait, counted)

        answering = partial(self._answerer.answer, request, order, report=report, left=left)
        answered = loop.run_in_executor(self._threads, answering)
        answered.add_done_callback(lambda _: reports.put_nowait(None))
        leaving = asyncio.create_task(self._wait_for_leaving(receive, left))
        try:
            while (counted := await reports.get()) is not None:
                yield counted
            yield await answered
        finally:
            leaving.cancel()
            self._give_up(left)

    async def _wait_for_leaving(self, receive: Receive, left: Event) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._give_up(left)

    def _give_up(self, left: Event) -> None:
        left.set()
        self._answerer.service.wake()
