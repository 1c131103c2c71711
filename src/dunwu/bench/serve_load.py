"""The clients of ``dunwu bench serve``: many at once, and light, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a turn asks for.

    Attributes:
        questions: One for each request.
        clients: How many ask at once; each takes the next question when its last is answered.
        max_tokens: Of an answer, at most.
        stream: Whether answers come piece by piece.
        more: Fields that a server needs beside those of all.
    """

    questions: tuple[str, ...]
    clients: int
    max_tokens: int
    stream: bool
    more: dict[str, Any]


def run_load(address: str, model: str, load: Load) -> tuple[float, list[str]]:
    """Ask all questions, and return the seconds and the answers' texts, reasoning first.

    Args:
        address: Of the server, without a path.
        model: Its name of the model.
        load: What is asked.

    Raises:
        RuntimeError: A request was not answered.
    """
    start = time.perf_counter()
    replies = asyncio.run(_ask_all(address, model, load))
    seconds = time.perf_counter() - start
    return seconds, [_read_text(reply, load.stream) for reply in replies]


async def _ask_all(address: str, model: str, load: Load) -> list[bytes]:
    numbers = iter(range(len(load.questions)))
    replies: list[bytes] = [b""] * len(load.questions)

    async def ask_in_turn() -> None:
        for number in numbers:
            replies[number] = await _ask(address, _write_body(model, load, number))

    await asyncio.gather(*(ask_in_turn() for _ in range(load.clients)))
    return replies


def _write_body(model: str, load: Load, number: int) -> bytes:
    return json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": load.questions[number]}],
            "max_tokens": load.max_tokens,
            "temperature": 1.0,
            "top_p": 1.0,
            "seed": number,
            "stream": load.stream,
            **load.more,
        }
    ).encode()


async def _ask(address: str, body: bytes) -> bytes:
    """Send one request over a connection of its own, and return the reply as it came."""
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    reply = await reader.read()
    writer.close()
    return reply


def _read_text(reply: bytes, stream: bool) -> str:
    head, _, content = reply.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise RuntimeError(f"a request was not answered: {reply[:300]!r}")
    if b"chunked" in head.lower():
        content = _join_chunks(content)
    if not stream:
        return _join(json.loads(content)["choices"][0]["message"])
    lines = content.decode().splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(_join(event["choices"][0]["delta"]) for event in events if event["choices"])


def _join_chunks(content: bytes) -> bytes:
    whole = b""
    while content:
        size, _, content = content.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        whole, content = whole + content[:length], content[length + 2 :]
        if not length:
            break
    return whole


def _join(message: dict[str, Any]) -> str:
    return (message.get("reasoning_content") or "") + (message.get("content") or "")


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> int:
    """Count the tokens of texts, alike for every server: what each calls a token differs."""
    return sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
