"""A tokenizer's chat template, rendered in a process that can be ended: it is a stranger's program."""

from __future__ import annotations

import atexit
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final

from dunwu.errors import Fault, UserError
from dunwu.types import Message
from dunwu.verifiers.process import LineProcess, NoReply

SECONDS = 2.0
"""Of processor time for one conversation; usual templates take a millisecond."""
LONGEST = 1 << 24
"""Characters of a rendered conversation."""
PATIENCE: Final = 120.0
"""Seconds of the worker's own time beside that: to start, and to say what it made."""
COMMAND: Final = (sys.executable, "-P", "-m", "dunwu.models.chat_template_worker")
TRIES: Final = 3
"""What was killed from outside is started again."""


class _Renderer:
    """One process for all templates of this one, started when the first is rendered, and again when one ended it."""

    def __init__(self) -> None:
        self._process: LineProcess | None = None
        self._lock = Lock()

    def render(self, request: dict[str, Any]) -> tuple[str, str | None]:
        """See ``chat_template_worker.answer``; an error also where the process used up its time.

        Raises:
            Fault: its process cannot start, or was killed each time.
        """
        with self._lock:
            for _ in range(TRIES):
                try:
                    if self._process is None:
                        self._process = LineProcess(COMMAND)
                    head = self._process.ask(request, PATIENCE)
                    return "".join(self._process.read_line(PATIENCE) for _ in range(head["pieces"])), head["error"]
                except EOFError as error:
                    timed_out = isinstance(error, NoReply) or self._code() == -signal.SIGPROF
                    self._end()
                    if timed_out:
                        return "", f"it takes more than {SECONDS:g} s of processor time"
                except BaseException:
                    self._end()  # whoever owes a reply is not asked again
                    raise
        raise Fault(f"the process that renders chat templates does not start, or was killed {TRIES} times")

    def _code(self) -> int | None:
        """How the process ended; None where it runs or never began."""
        return None if self._process is None else self._process.process.poll()

    def start(self) -> None:
        """Start the process before it is asked."""
        with self._lock, suppress(EOFError):
            if self._process is None:
                self._process = LineProcess(COMMAND)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


_renderer = _Renderer()
atexit.register(_renderer.close)


def start_renderer() -> None:
    """Start the process that renders, which takes a second, while something else goes on."""
    _renderer.start()


def render_chat(
    tokenizer: Any,
    messages: Sequence[dict[str, Any]],
    *,
    asks: bool,
    name: str,
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Render a conversation by the tokenizer's chat template, bounded in time and memory.

    Args:
        tokenizer: of transformers, with a chat template.
        messages: see ``write_turn``.
        asks: the template adds what an answer begins with.
        name: of the conversation, for errors.
        tools: functions that the model may call.

    Returns:
        The text, special tokens included.

    Raises:
        UserError: the template refuses the conversation, fails, or takes too much.
    """
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:  # it has several, and none of them is the usual one
        raise UserError(f"the tokenizer's chat template cannot be chosen: {error}", field="prompt.template") from error
    request = {
        "template": template,
        "messages": list(messages),
        "asks": asks,
        "tools": list(tools) or None,
        "bounds": {"seconds": SECONDS, "longest": LONGEST},
        "tokens": {kind: as_text(token) for kind, token in tokenizer.special_tokens_map.items()},
    }
    text, reason = _renderer.render(request)
    if reason is not None:
        raise UserError(f"the tokenizer's chat template refuses {name}: {reason}", field="prompt.template")
    return text


def write_turn(message: Message) -> dict[str, Any]:
    """Write a turn as chat templates read it: the arguments of calls are objects, and not their text."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.calls
        ]
    if message.call_id:
        turn["tool_call_id"] = message.call_id
    return turn


def as_text(token: Any) -> Any:
    """Return a special token as text; some are objects, and some kinds have several."""
    return [str(one) for one in token] if isinstance(token, list | tuple) else str(token)
