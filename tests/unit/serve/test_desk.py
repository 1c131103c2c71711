"""Answers that come whole: one client's do not keep another's waiting."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

from starlette.types import Message

from dunwu.serve.answering import Answer, Answerer, Order
from dunwu.serve.http.desk import MOST_AT_ONCE, MOST_OF_ONE, Desk
from dunwu.serve.records import ChatRequest, Choice

WHOLE = Choice(reasoning="", content="x", finish="stop", tokens=1, thinking_tokens=0)


class SlowAnswerer:
    """Answers the greedy when it may, and everybody else at once."""

    def __init__(self) -> None:
        self.service = self
        self.may_answer = threading.Event()
        self.asked: list[str] = []

    def answer(self, request: ChatRequest, order: Order, **_: Any) -> Answer:
        self.asked.append(request.client)
        if request.client == "greedy":
            assert self.may_answer.wait(60)
        return Answer(choice=WHOLE, finish="stop")

    def wake(self) -> None:
        pass


def test_one_client_does_not_take_all_places() -> None:
    answerer = SlowAnswerer()

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def ask(client: str) -> Any:
        request = ChatRequest(messages=(), client=client)
        return [found async for found in desk.answer(request, Order(), receive)][-1]

    async def ask_all() -> None:
        greedy = [asyncio.create_task(ask("greedy")) for _ in range(2 * MOST_AT_ONCE)]
        async with asyncio.timeout(60):
            await asyncio.gather(*(ask("modest") for _ in range(4)))
        assert answerer.asked.count("greedy") == MOST_OF_ONE
        answerer.may_answer.set()
        assert all(isinstance(found, Answer) for found in await asyncio.gather(*greedy))

    desk = Desk(cast("Answerer", answerer))
    asyncio.run(ask_all())
    assert answerer.asked.count("greedy") == 2 * MOST_AT_ONCE
