"""Chat completions as OpenAI's clients read them: whole, or piece by piece as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from dunwu.serve.ballot import Vote
from dunwu.serve.http.bodies import write_json
from dunwu.serve.http.outcomes import Events, Gains, Heading, Outcome
from dunwu.serve.records import Choice, Finish, Piece, TokenLogprob
from dunwu.types import ToolCall

DONE = b"data: [DONE]\n\n"


class ChatForm:
    """See the module.

    Args:
        heading: of all parts.
        includes_usage: a last event says how many tokens there were.
    """

    def __init__(self, heading: Heading, *, includes_usage: bool) -> None:
        self._heading, self._includes_usage = heading, includes_usage
        self._chunk = write_json(self._head("chat.completion.chunk"))[:-1]  # once, and not for each token

    def write(self, outcome: Outcome) -> dict[str, Any]:
        """See ``Form``."""
        ended = zip(outcome.choices, outcome.finishes, strict=True)
        choices = [_write_choice(index, choice, finish) for index, (choice, finish) in enumerate(ended)]
        return self._head("chat.completion", choices=choices, usage=_count(outcome), **outcome.more)

    async def stream(self, events: Events, choices: int) -> AsyncGenerator[bytes]:
        """See ``Form``."""
        delta = {"role": "assistant", "content": ""}
        begun = {"delta": delta, "logprobs": None, "finish_reason": None}
        yield b"".join(self._write_event([{"index": index, **begun}]) for index in range(choices))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Vote):
                    yield self._write_event([], vote=event.describe())
                elif isinstance(event, Gains):
                    yield b"".join(self._write_event([_write_delta(piece)], **event.more) for piece in event.pieces)
                elif self._includes_usage:
                    yield self._write_event([], usage=_count(event))
        yield DONE

    def _head(self, kind: str, **more: Any) -> dict[str, Any]:
        head = self._heading
        fields = {"id": f"chatcmpl-{head.id}", "object": kind, "created": head.created, "model": head.model}
        return {**fields, "seed": head.seed, **head.more, **more}

    def _write_event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        gained = write_json({"choices": choices, **more})
        return f"data: {self._chunk},{gained[1:]}\n\n".encode()


def _count(outcome: Outcome) -> dict[str, Any]:
    return {
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.tokens,
        "total_tokens": outcome.prompt_tokens + outcome.tokens,
        "completion_tokens_details": {"reasoning_tokens": outcome.thinking_tokens},
    }


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


def _write_choice(index: int, choice: Choice, finish: Finish) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content}
    if choice.calls:
        message |= {"content": choice.content or None, "tool_calls": [_write_call(call) for call in choice.calls]}
    if choice.reasoning or choice.thinking_tokens:
        message |= _name_reasoning(choice.reasoning)
    return {
        "index": index,
        "message": message,
        "logprobs": _write_logprobs(choice.logprobs) if choice.logprobs else None,
        "finish_reason": finish,
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
