"""Which fields of a request a server takes. They differ: what one refuses, it is asked without, or by another name."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dunwu.errors import CONTROL

NEUTRAL: Mapping[str, Any] = {
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "samplers": ["temperature", "top_p"],
}
"""Values that change nothing: servers have other defaults (llama.cpp: top_k 40, min_p 0.05), or take the model's
generation_config (vLLM). ``repeat_penalty`` is what llama.cpp and LM Studio call the third. ``samplers`` is llama.cpp's
order of work: by default it cuts at top-p before the temperature has sharpened anything, everybody else after."""
OPTIONAL = (*NEUTRAL, "seed", "stop", "top_p", "temperature")
"""What can be left out, in the order in which it is given up where a refusal names several."""
RENAMED = {"max_tokens": "max_completion_tokens"}
"""OpenAI's reasoning models refuse the older name. A limit is never left out: who pays for the tokens set it."""
SAYING = ("error", "errors", "message", "msg", "detail")
NAMING = (*SAYING, "param", "loc")
"""Where servers say what is wrong, and of which field; other places may repeat the whole request."""
SHOWN = 200
"""Characters of what a server says that are shown."""


log = logging.getLogger(__name__)


class Fields:
    """What one server takes, as far as it is known; threads may share it.

    ``refused`` has what it does not take, each with the server's words.

    Args:
        server: what it is called in the log.
    """

    def __init__(self, server: str) -> None:
        self.refused: dict[str, str] = {}
        self.accepted = False
        self._server, self._lock = server, threading.Lock()

    def fit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request as the server takes it."""
        found = {}
        for name, value in body.items():
            if name not in self.refused:
                found[name] = value
            elif name in RENAMED:
                found[RENAMED[name]] = value
        return found

    def learn(self, body: Mapping[str, Any], sent: Mapping[str, Any], refusal: bytes) -> bool:
        """Learn from a refusal.

        Where it names no field of the request and nothing was ever accepted, all of ``NEUTRAL`` goes at once.

        Args:
            body: the request before it was fitted to the server.
            sent: what was made of it.
            refusal: the server's reply.

        Returns:
            Whether there is another way to ask.
        """
        with self._lock:
            if self.fit(body) == sent:  # else another thread has learnt it
                reason = read_refusal(refusal)
                for name in find_named(sent, refusal) or (
                    [] if self.accepted else [one for one in NEUTRAL if one in sent]
                ):
                    self.refused[name] = reason
                    way = f"with {RENAMED[name]}" if name in RENAMED else "without it"
                    log.warning("%s refuses %s, and is asked %s: %s", self._server, name, way, reason)
            return self.fit(body) != sent


def read_refusal(refusal: bytes) -> str:
    """Return what a server says of its refusal, as far as it says so in a form that is known."""
    reason = "; ".join(dict.fromkeys(_said(refusal, SAYING)))
    return CONTROL.sub("", " ".join(reason.split()))[:SHOWN]


def find_named(sent: Mapping[str, Any], refusal: bytes) -> list[str]:
    """Return the field of ``sent`` that a refusal is about, as a list: the first that it names."""
    text = " ".join(_said(refusal, NAMING))
    for name in (*OPTIONAL, *RENAMED):
        spelt = name.replace("_", r"[_\s-]?")  # max_tokens, maxTokens, "max tokens"
        if name in sent and re.search(rf"(?<![a-z]){spelt}s?(?![a-z_])", text, re.IGNORECASE):
            return [name]
    return []


def _said(refusal: bytes, keys: Sequence[str]) -> Iterator[str]:
    text = refusal.decode("utf-8", "replace").strip()
    try:
        yield from _texts(json.loads(text), keys)
    except (ValueError, RecursionError):
        if not text.startswith("<"):  # a page for people
            yield text


def _texts(value: Any, keys: Sequence[str]) -> Iterator[str]:
    if isinstance(value, str):
        yield value.encode("utf-8", "replace").decode()
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, keys)
    elif isinstance(value, dict):
        for key in keys:
            yield from _texts(value.get(key), keys)
