"""Replies of the service as OpenAI's clients read them: whole, or piece by piece as server-sent events."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive

from dunwu.serve.answering import Answer
from dunwu.serve.ballot import Vote
from dunwu.serve.http.bodies import write_json
from dunwu.serve.http.news import News
from dunwu.serve.records import Choice, Piece, TokenLogprob
from dunwu.serve.service import Reply
from dunwu.types import ToolCall

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What all parts of one completion begin with.

    Attributes:
        model: its name.
        seed: asks for the same again.
        more: fields beside OpenAI's: where the answer comes from.
        id: of the completion.
        created: seconds of the epoch.
    """

    model: str
    seed: int
    more: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def write(self, kind: str, **more: Any) -> dict[str, Any]:
        """Return the object of a kind."""
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.model, "seed": self.seed}
        return {**head, **self.more, **more}


def write_completion(heading: Heading, reply: Reply) -> dict[str, Any]:
    """Return the whole completion of a reply that has ended."""
    choices = reply.collect()
    return heading.write(
        "chat.completion",
        choices=[_write_choice(index, choice) for index, choice in enumerate(choices)],
        usage=count_usage(reply, choices),
    )


def write_answer(heading: Heading, answer: Answer) -> dict[str, Any]:
    """Return the completion of an answer that came whole."""
    choice = _write_choice(0, answer.choice) | {"finish_reason": answer.finish}
    return heading.write("chat.completion", choices=[choice], usage=_count(answer), **answer.more)


def _count(answer: Answer) -> dict[str, Any]:
    return _write_usage(answer.prompt_tokens, answer.tokens, [answer.choice])


def count_usage(reply: Reply, choices: Sequence[Choice]) -> dict[str, Any]:
    """Count the tokens of a reply."""
    return _write_usage(reply.prompt_tokens, sum(choice.tokens for choice in choices), choices)


def _write_usage(prompt: int, written: int, choices: Sequence[Choice]) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "completion_tokens_details": {"reasoning_tokens": sum(choice.thinking_tokens for choice in choices)},
    }


async def stream_reply(
    heading: Heading, reply: Reply, news: News, receive: Receive, *, includes_usage: bool
) -> AsyncGenerator[bytes]:
    """Yield the events of a reply.

    Args:
        heading: of all events.
        reply: of the service.
        news: wakes us.
        receive: of ASGI.
        includes_usage: a last event says how many tokens there were.

    Raises:
        Fault: the service failed on the way.
    """
    yield b"".join(_write_start(heading, index) for index in range(len(reply.writers)))
    async with aclosing(news.listen(reply, receive)) as gains:
        async for pieces in gains:
            yield b"".join(_write_event(heading, [_write_delta(piece)]) for piece in pieces)
    if includes_usage and not reply.is_cancelled:
        yield _write_event(heading, [], usage=count_usage(reply, reply.collect()))


async def stream_answer(
    heading: Heading, found: AsyncGenerator[Vote | Answer], *, includes_usage: bool
) -> AsyncGenerator[bytes]:
    """Yield the events of an answer that comes whole: how a vote stands after each sample, and at last the answer.

    Args:
        heading: of all events.
        found: see ``Desk.answer``.
        includes_usage: a last event says how many tokens there were.

    Raises:
        UserError: the request cannot be answered.
        Fault: the service failed on the way.
    """
    yield _write_start(heading, 0)
    async with aclosing(found) as reports:
        async for report in reports:
            if isinstance(report, Vote):
                yield _write_event(heading, [], vote=report.describe())
                continue
            choice = report.choice
            whole = Piece(
                index=0,
                reasoning=choice.reasoning,
                content=choice.content,
                calls=dict(enumerate(choice.calls)),
                logprobs=list(choice.logprobs),
            )
            yield _write_event(heading, [_write_delta(whole) | {"finish_reason": report.finish}], **report.more)
            if includes_usage:
                yield _write_event(heading, [], usage=_count(report))


def _write_start(heading: Heading, index: int) -> bytes:
    """Write the event with which a choice begins: its role."""
    delta = {"role": "assistant", "content": ""}
    return _write_event(heading, [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])


def write_error_event(body: dict[str, Any]) -> bytes:
    """Write an error that came in the middle of a stream."""
    return f"data: {write_json(body)}\n\n".encode()


def _write_event(heading: Heading, choices: list[dict[str, Any]], **more: Any) -> bytes:
    chunk = heading.write("chat.completion.chunk", choices=choices, **more)
    return f"data: {write_json(chunk)}\n\n".encode()


def _write_delta(piece: Piece) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    if piece.reasoning:
        delta |= _name_reasoning(piece.reasoning)
    if piece.content:
        delta["content"] = piece.content
    if piece.calls:
        delta["tool_calls"] = [{"index": place, **_write_call(call)} for place, call in piece.calls.items()]
    logprobs = _write_logprobs(piece.logprobs) if piece.logprobs else None
    return {"index": piece.index, "delta": delta, "logprobs": logprobs, "finish_reason": piece.finish}


def _write_choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content}
    if choice.calls:
        message |= {"content": choice.content or None, "tool_calls": [_write_call(call) for call in choice.calls]}
    if choice.reasoning or choice.thinking_tokens:
        message |= _name_reasoning(choice.reasoning)
    return {
        "index": index,
        "message": message,
        "logprobs": _write_logprobs(choice.logprobs) if choice.logprobs else None,
        "finish_reason": choice.finish,
    }


def _write_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _name_reasoning(text: str) -> dict[str, str]:
    """Give the chain under both names that clients look for: vLLM's and DeepSeek's."""
    return {"reasoning": text, "reasoning_content": text}


def _write_logprobs(logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {
        "content": [
            {
                **_write_token(found.token, found.logprob),
                "top_logprobs": [_write_token(token, logprob) for token, logprob in found.top],
            }
            for found in logprobs
        ]
    }


def _write_token(token: str, logprob: float) -> dict[str, Any]:
    """Write a token; no bytes where it is a part of a character."""
    whole = "�" not in token
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()) if whole else None}
