"""What a chat completion says: servers put the same things in different places."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from dunwu.types import REASONING_FIELDS, Finish

TEXTS = ("text", "refusal", *REASONING_FIELDS, "content", "value")
"""Where the text of a part stands."""
SAID = ("message", "delta", "text")
"""Where what was said stands in a choice: a message, what a stream sends of one, or what completions have in its
place."""
CUT = ("length", "max_tokens", "max_length")
FILTERED = re.compile("filter|safety|recitation|prohibited|block")
"""Reasons to finish that leave nothing to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """What a server has answered.

    Attributes:
        answer: "" where there is none.
        reasoning: what stands apart from the answer.
        finish: why it ended.
        tokens: as the server counts them; None where it does not.
        ended: what, the server says, ended the text.
    """

    answer: str
    reasoning: str
    finish: Finish
    tokens: int | None
    ended: object

    @property
    def text(self) -> str:
        """The reasoning, in think tags, and the answer.

        A thought that was cut off is not closed; one that only ends was opened in the prompt by the server's template.
        """
        closes, opens = "</think>" in self.answer, "<think>" in self.answer
        if not self.reasoning or (closes and opens):
            return f"<think>{self.answer}" if closes and not opens else self.answer
        closed = "" if self.finish == "length" and not self.answer else "</think>"
        return f"<think>{self.reasoning}{closed}{self.answer}"


def read_reply(reply: Any) -> ChatReply:
    """Read the first choice of a reply. A message without content is one without an answer.

    Raises:
        TypeError: it is no chat completion.
    """
    choice = _first(reply)
    reason = str(choice.get("finish_reason") or "").lower()
    message = next((choice[name] for name in SAID if choice.get(name) is not None), None)
    if isinstance(message, str):
        message = {"content": message}
    if message is None and (reason in CUT or FILTERED.search(reason)):
        message = {}
    if not isinstance(message, dict):
        raise TypeError("the first choice has no message")
    content = message.get("content")
    parts = content if isinstance(content, list) else [content]
    answer = "".join(read_content(part) for part in parts if not _is_thought(part)) or read_content(
        message.get("refusal")
    )
    apart = (_thought(message.get(name)) for name in REASONING_FIELDS)
    usage = reply.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return ChatReply(
        answer=answer,
        reasoning=next(filter(None, apart), "") or "".join(read_content(part) for part in parts if _is_thought(part)),
        finish="length" if reason in CUT else "stop",
        tokens=count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None,
        ended=choice.get("stop_reason"),
    )


def _first(reply: Any) -> dict[str, Any]:
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise TypeError("the reply has no choices")
    first: dict[str, Any] = choices[0]
    return first


def _is_thought(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "reasoning")


def _thought(value: Any) -> str:
    """Read reasoning that stands apart; what is no text, as a switch that says whether the model thinks, is none."""
    with suppress(TypeError):
        return read_content(value)
    return ""


def read_content(value: Any) -> str:
    """Read a text, or the parts that make one; halves of surrogate pairs are none.

    Raises:
        TypeError: it is something else.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return "".join(map(read_content, value))
    if isinstance(value, dict):
        return read_content(next((value[name] for name in TEXTS if name in value), None))
    raise TypeError(f"the content is {type(value).__name__}")
