"""Replies of the service as OpenAI's clients read them: whole, or piece by piece as server-sent events."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dunwu.serve.http.bodies import write_json
from dunwu.serve.records import Choice, Piece, TokenLogprob
from dunwu.serve.service import Reply

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What all parts of one completion begin with; ``seed`` asks for the same again."""

    model: str
    seed: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def write(self, kind: str, **more: Any) -> dict[str, Any]:
        """Return the object of a kind."""
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.model, "seed": self.seed}
        return {**head, **more}


def write_completion(heading: Heading, reply: Reply) -> dict[str, Any]:
    """Return the whole completion of a reply that has ended."""
    choices = reply.collect()
    return heading.write(
        "chat.completion",
        choices=[_write_choice(index, choice) for index, choice in enumerate(choices)],
        usage=write_usage(reply, choices),
    )


def write_usage(reply: Reply, choices: Sequence[Choice]) -> dict[str, Any]:
    """Count the tokens of a reply."""
    written = sum(choice.tokens for choice in choices)
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": reply.prompt_tokens + written,
        "completion_tokens_details": {"reasoning_tokens": sum(choice.thinking_tokens for choice in choices)},
    }


def write_events(heading: Heading, pieces: Sequence[Piece]) -> bytes:
    """Write pieces as events."""
    return b"".join(_write_event(heading, [_write_delta(piece)]) for piece in pieces)


def write_start(heading: Heading, choices: int) -> bytes:
    """Write the events with which a stream begins: the role of each choice."""
    delta = {"role": "assistant", "content": ""}
    return b"".join(
        _write_event(heading, [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])
        for index in range(choices)
    )


def write_usage_event(heading: Heading, reply: Reply) -> bytes:
    """Write the last event of a stream that says how many tokens there were."""
    return _write_event(heading, [], usage=write_usage(reply, reply.collect()))


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
    logprobs = _write_logprobs(piece.logprobs) if piece.logprobs else None
    return {"index": piece.index, "delta": delta, "logprobs": logprobs, "finish_reason": piece.finish}


def _write_choice(index: int, choice: Choice) -> dict[str, Any]:
    message = {"role": "assistant", "content": choice.content}
    if choice.reasoning or choice.thinking_tokens:
        message |= _name_reasoning(choice.reasoning)
    return {
        "index": index,
        "message": message,
        "logprobs": _write_logprobs(choice.logprobs) if choice.logprobs else None,
        "finish_reason": choice.finish,
    }


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
