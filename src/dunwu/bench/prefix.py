"""Prompts that begin as earlier ones did: seconds to the first token, and tokens that were not read again.

One client asks at a time. Half of the questions stand behind a text that all of these share, as an application's system
message is; the other half each behind a text of its own, which is as long. They take turns in one process.

The nano base takes the text as the beginning of its question, SmolLM2 as a system message.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from dunwu.bench.grammar import open_sides
from dunwu.errors import UserError
from dunwu.models.templates import tokenize
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.records import ChatRequest
from dunwu.serve.service import GenerationService
from dunwu.types import Message

LENGTHS: Final = {"nano base": (64, 256), "SmolLM2-135M": (64, 256, 1024)}
"""Tokens of the text, about."""
ROUNDS: Final = 9
QUESTION: Final = "Use 3, 5, 7 once each with + - * / to make {}."


def measure(against: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Measure the first token behind a known text and behind a new one.

    Args:
        against: nothing; it is compared with itself.

    Returns:
        By model and length.

    Raises:
        UserError: There is a peer, or the nano base is missing.
    """
    for peer in against:
        raise UserError(f"no such peer: {peer}; known beginnings are measured beside new ones", field="--against")
    results: dict[str, dict[str, Any]] = {}
    for name, _, model in open_sides(results, "s"):
        for tokens in LENGTHS[name]:
            results[f"{name}, {tokens} tokens"] = measure_length(model, tokens)
    return results


def measure_length(model: ChatModel, tokens: int) -> dict[str, Any]:
    """Measure seconds to the first token behind a text of about so many tokens."""
    service = GenerationService(model)
    try:
        wait_for_first(service, make_request(model, 0, tokens, 0))
        new, known = list[float](), list[float]()
        read = reused = 0
        for number in range(1, ROUNDS + 1):
            new.append(wait_for_first(service, make_request(model, number, tokens, number))[0])
            before = service.reused_tokens
            seconds, length = wait_for_first(service, make_request(model, 0, tokens, number))
            known.append(seconds)
            read, reused = read + length, reused + service.reused_tokens - before
    finally:
        service.stop(0.0)
    ours, other = median(known), median(new)
    entry = {"ours": ours, "unit": "s", "peers": {"new text": other}, "ratio": other / ours, "floor_share": None}
    return entry | {"prompt_tokens": read / ROUNDS, "reused_share": reused / read}


def wait_for_first(service: GenerationService, request: ChatRequest) -> tuple[float, int]:
    """Ask, and return the seconds until a token came, and the tokens of the prompt."""
    began = time.perf_counter()
    reply = service.submit(request)
    pieces = reply.wait()
    next(pieces)
    seconds = time.perf_counter() - began
    pieces.close()
    return seconds, reply.prompt_tokens


def make_request(model: ChatModel, text: int, tokens: int, question: int) -> ChatRequest:
    """Make a request: a question behind a text.

    Args:
        model: Who is asked; one that takes turns has the text as its system message.
        text: The number of the text: another number, other words from the first on.
        tokens: Of the text, about.
        question: The number of the question.
    """
    tokenizer = model.policy.tokenizer
    long = " ".join(f"{text + 10} and {word} make {text + 10 + word}." for word in range(tokens))
    shown = str(tokenizer.decode(tokenize(tokenizer, long)[:tokens]))
    asked = QUESTION.format(20 + question)
    turns = [Message(role="system", content=shown), Message(role="user", content=asked)]
    if not model.takes_turns:
        turns = [Message(role="user", content=f"{shown} {asked}")]
    return ChatRequest(messages=tuple(turns), seeds=(question,), temperature=1.0, max_tokens=4)
