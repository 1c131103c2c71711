"""Responses as OpenAI's clients read them: items of reasoning, of text and of calls, whole or as server-sent events."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Final

from dunwu.serve.ballot import Vote
from dunwu.serve.http.bodies import ChatBody, write_json
from dunwu.serve.http.outcomes import Events, Gains, Heading, Outcome
from dunwu.serve.http.responses_body import NamedItem, ResponsesBody
from dunwu.serve.records import Finish, Piece
from dunwu.types import ToolCall

REASONS: Final[dict[Finish, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response is incomplete, by how its answer ended."""
Event = dict[str, Any]


class ResponseForm:
    """See the module.

    Args:
        heading: of all parts.
        body: what was asked, of which a response says much again.
        chat: the same as a chat completion.
    """

    def __init__(self, heading: Heading, *, body: ResponsesBody, chat: ChatBody) -> None:
        self._heading, self._asked = heading, _write_asked(body, chat)

    def write(self, outcome: Outcome) -> dict[str, Any]:
        """See ``Form``."""
        (choice,) = outcome.choices
        items, calls = Items(), dict(enumerate(choice.calls))
        whole = Piece(index=0, reasoning=choice.reasoning, content=choice.content, calls=calls)
        for _ in (*items.add(whole), *items.close()):
            pass
        return self._write(items, outcome)

    async def stream(self, events: Events, choices: int) -> AsyncGenerator[bytes]:
        """See ``Form``; how a vote stands is not said."""
        items, number = Items(), 0

        def number_events(found: list[Event]) -> bytes:
            nonlocal number
            lines = []
            for one in found:
                lines.append(f"event: {one['type']}\ndata: {write_json(one | {'sequence_number': number})}\n\n")
                number += 1
            return "".join(lines).encode()

        begun = self._write(items, None)
        yield number_events([{"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")])
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Gains):
                    yield number_events([one for piece in event.pieces for one in items.add(piece)])
                elif not isinstance(event, Vote):
                    closed, response = list(items.close()), self._write(items, event)
                    yield number_events([*closed, {"type": f"response.{response['status']}", "response": response}])

    def _write(self, items: Items, outcome: Outcome | None) -> dict[str, Any]:
        """Write the response: before anything of it has come, or with its outcome."""
        head = self._heading
        reason = REASONS.get(outcome.finishes[0]) if outcome else None
        return {
            "id": f"resp_{head.id}",
            "object": "response",
            "created_at": head.created,
            "model": head.model,
            "status": "in_progress" if outcome is None else "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "error": None,
            "output": items.written,
            "usage": _count(outcome) if outcome else None,
            **self._asked,
            "seed": head.seed,
            **head.more,
            **(outcome.more if outcome else {}),
        }


class Items:
    """The items of one response, of which the last may still be open.

    Attributes:
        written: all items as far as they have come.
    """

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self._open: str | None = None

    def add(self, piece: Piece) -> Iterator[Event]:
        """Take what the answer has gained, and yield the events of it."""
        for kind, text in (("reasoning_text", piece.reasoning), ("output_text", piece.content)):
            if text:
                if self._open != kind:
                    yield from self.close()
                    yield from self._begin(kind)
                self.written[-1]["content"][0]["text"] += text
                yield self._place(f"response.{kind}.delta", delta=text, **_have_logprobs(kind))
        for call in piece.calls.values():
            yield from self.close()
            yield from self._add_call(call)

    def close(self) -> Iterator[Event]:
        """Yield the events with which the open item ends, if there is one."""
        if self._open is None:
            return
        item, kind = self.written[-1], self._open
        part, self._open = item["content"][0], None
        item["status"] = "completed"
        yield self._place(f"response.{kind}.done", text=part["text"], **_have_logprobs(kind))
        yield self._place("response.content_part.done", part=dict(part))
        yield self._write_item("done", item)

    def _begin(self, kind: str) -> Iterator[Event]:
        """Open an item of reasoning or text."""
        self._open = kind
        part: dict[str, Any] = {"type": kind, "text": ""}
        if kind == "output_text":
            part |= {"annotations": [], "logprobs": []}
            item: dict[str, Any] = {
                "type": "message",
                "id": _make_id("msg"),
                "role": "assistant",
                "status": "in_progress",
            }
        else:
            item = {"type": "reasoning", "id": _make_id("rs"), "summary": [], "status": "in_progress"}
        self.written.append({**item, "content": [part]})
        yield self._write_item("added", {**item, "content": []})
        yield self._place("response.content_part.added", part=dict(part))

    def _add_call(self, call: ToolCall) -> Iterator[Event]:
        """Write a whole call."""
        named = {"type": "function_call", "id": _make_id("fc"), "call_id": call.id, "name": call.name}
        item = {**named, "arguments": call.arguments, "status": "completed"}
        self.written.append(item)
        of_item = {"item_id": item["id"], "output_index": len(self.written) - 1}
        kind = "response.function_call_arguments"
        yield self._write_item("added", {**named, "arguments": "", "status": "in_progress"})
        yield {"type": f"{kind}.delta", **of_item, "delta": call.arguments}
        yield {"type": f"{kind}.done", **of_item, "name": call.name, "arguments": call.arguments}
        yield self._write_item("done", item)

    def _write_item(self, what: str, item: dict[str, Any]) -> Event:
        return {"type": f"response.output_item.{what}", "output_index": len(self.written) - 1, "item": item}

    def _place(self, kind: str, **more: Any) -> Event:
        """Write an event of the last item's text."""
        place = {"item_id": self.written[-1]["id"], "output_index": len(self.written) - 1, "content_index": 0}
        return {"type": kind, **place, **more}


def _have_logprobs(kind: str) -> dict[str, Any]:
    """Return what clients look for beside a text, and not beside reasoning."""
    return {"logprobs": []} if kind == "output_text" else {}


def _make_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"


def _count(outcome: Outcome) -> dict[str, Any]:
    return {
        "input_tokens": outcome.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": outcome.tokens,
        "output_tokens_details": {"reasoning_tokens": outcome.thinking_tokens},
        "total_tokens": outcome.prompt_tokens + outcome.tokens,
    }


def _write_asked(body: ResponsesBody, chat: ChatBody) -> dict[str, Any]:
    """Return what clients want to see again of what they asked."""
    choice = body.tool_choice
    return {
        "instructions": body.instructions or None,
        "max_output_tokens": body.max_output_tokens,
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "text": body.text.model_dump(by_alias=True, exclude_unset=True) or {"format": {"type": "text"}},
        "tools": [tool.model_dump(exclude_unset=True) for tool in body.tools],
        "tool_choice": choice.model_dump() if isinstance(choice, NamedItem) else choice or "auto",
        "parallel_tool_calls": chat.parallel_tool_calls is not False,
        "reasoning": {"effort": None, "summary": None},
        "previous_response_id": None,
        "store": False,
        "truncation": body.truncation,
        "metadata": chat.metadata or {},
    }
