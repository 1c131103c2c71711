"""What comes of a request, whichever API has asked: pieces, how a vote stands, and at last the outcome."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from starlette.types import Receive

from dunwu.serve.answering import Answer
from dunwu.serve.ballot import Vote
from dunwu.serve.http.news import News
from dunwu.serve.records import Choice, Finish, Piece
from dunwu.serve.reply import Reply


class Gains(NamedTuple):
    """What choices have gained, and fields of the reply beside OpenAI's that have become known with it."""

    pieces: list[Piece]
    more: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The whole that has come.

    Attributes:
        choices: the answers.
        finishes: why each ended; a policy may have ended it otherwise than the model.
        prompt_tokens: of one sample.
        tokens: written in all.
        thinking_tokens: of these, the reasoning's.
        more: fields of the reply beside OpenAI's: ``cache``, ``review``, ``vote``, ``guidance``.
    """

    choices: Sequence[Choice]
    finishes: Sequence[Finish]
    prompt_tokens: int
    tokens: int
    thinking_tokens: int
    more: Mapping[str, Any]


Events = AsyncGenerator[Vote | Gains | Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What all parts of one reply begin with.

    Attributes:
        model: its name.
        seed: asks for the same again; None for an answer of the cache, which no seed of this request made.
        more: fields beside OpenAI's: where the answer comes from.
        id: of the reply, without what an API puts before it.
        created: seconds of the epoch.
    """

    model: str
    seed: int | None
    more: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))


class Form(Protocol):
    """How an API writes what comes of a request."""

    def write(self, outcome: Outcome) -> dict[str, Any]:
        """Return the reply as JSON has it."""

    def stream(self, events: Events, choices: int) -> AsyncGenerator[bytes]:
        """Yield the reply as server-sent events.

        Args:
            events: what comes; the last is the outcome, where the client has not left.
            choices: how many answers there will be.
        """


async def follow_reply(reply: Reply, news: News, receive: Receive) -> Events:
    """Yield what a reply gains, and the outcome.

    Args:
        reply: of the service.
        news: wakes us.
        receive: of ASGI.

    Raises:
        Fault: the service failed on the way.
    """
    async with aclosing(news.listen(reply, receive)) as gains:
        async for pieces in gains:
            yield Gains(pieces, {})
    if reply.is_cancelled:
        return
    choices = reply.collect()
    yield Outcome(
        choices=choices,
        finishes=[choice.finish for choice in choices],
        prompt_tokens=reply.prompt_tokens,
        tokens=sum(choice.tokens for choice in choices),
        thinking_tokens=sum(choice.thinking_tokens for choice in choices),
        more={},
    )


async def follow_answer(found: AsyncGenerator[Vote | Answer]) -> Events:
    """Yield how a vote stands after each sample, and an answer that comes whole.

    Args:
        found: see ``Desk.answer``.

    Raises:
        UserError: the request cannot be answered.
        Fault: the service failed on the way.
    """
    async with aclosing(found) as reports:
        async for report in reports:
            if isinstance(report, Vote):
                yield report
                continue
            choice = report.choice
            whole = Piece(
                index=0,
                reasoning=choice.reasoning,
                content=choice.content,
                calls=dict(enumerate(choice.calls)),
                logprobs=list(choice.logprobs),
                finish=report.finish,
            )
            yield Gains([whole], report.more)
            yield Outcome(
                choices=[choice],
                finishes=[report.finish],
                prompt_tokens=report.prompt_tokens,
                tokens=report.tokens,
                thinking_tokens=report.thinking_tokens,
                more=report.more,
            )
