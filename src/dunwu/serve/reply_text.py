"""A reply while it is written: which of its text is reasoning, which is the answer, and where it has to stop.

No literal tag reaches a reader, however tokens cut it: text that may become a tag, or a stop string, waits until it is
known. What a whole reply comes to is what the verifiers make of it (``verifiers.format.extract_response``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from dunwu.serve.tool_calls import CALL_TAGS, CLOSE, OPEN, Called, CallEnd, drop_tags, read_call
from dunwu.verifiers.format import TAGS

State = Literal["start", "thinking", "answer"]


class Gain(NamedTuple):
    """What a reply gained: more reasoning, more of the answer, whole calls."""

    reasoning: str = ""
    content: str = ""
    calls: tuple[Called, ...] = ()


class ReplyText:
    """Parts a reply into reasoning and answer, piece by piece.

    Args:
        opening: what the prompt has written of the reply: think tags, or "".
        stop: texts that end the answer, which does not hold them; a tag ends it, too.
        functions: names of those that may be called; where there are none, tags of calls are text.
        one_call: a call ends the answer.

    Attributes:
        state: where the text stands: before anything, in the reasoning, or in the answer.
        stopped: a stop text has come; nothing follows it.
        settled: what comes is the answer whatever it says: a grammar holds it, and tags in it are text.
    """

    def __init__(
        self, opening: str, stop: Sequence[str] = (), functions: Collection[str] = (), *, one_call: bool = False
    ) -> None:
        self.state: State = "answer" if "</think>" in opening else "thinking" if "<think>" in opening else "start"
        self.stopped = self.settled = False
        self._stop, self._functions, self._one_call = tuple(stop), functions, one_call
        self._call: CallEnd | None = None
        self._raw = ""
        self._spaces = ""
        self._begun = False
        self._behind_tag = False
        self._answer = ""
        self._inside: str | None = None

    def feed(self, text: str) -> Gain:
        """Take more of the reply's text, and return what of it, or of what waited, is known by now."""
        return self._read(text, ends=False)

    def end(self, finish: Literal["stop", "length"]) -> Gain:
        """Return what still waited.

        A chain that was never closed has its answer in its last answer tags, if the model stopped by itself.

        Args:
            finish: how the reply ended.
        """
        gain = self._read("", ends=True)
        if self.state == "thinking" and finish == "stop" and self._inside is not None:
            self.state, self._begun, self._spaces = "answer", False, ""
            return _join([gain, Gain(content=self._pass_answer(self._inside.strip(), ends=True))])
        return gain

    def _read(self, text: str, *, ends: bool) -> Gain:
        """Go from tag to tag; what may be the beginning of one is kept for later."""
        self._raw += text
        gains, goes_on = list[Gain](), True
        while goes_on and not self.stopped:
            gain, goes_on = self._read_call(ends=ends) if self._call else self._read_text(ends=ends)
            gains.append(gain)
        return _join(gains)

    def _read_text(self, *, ends: bool) -> tuple[Gain, bool]:
        """Read up to the next tag; False where none is there."""
        tags = self._list_tags()
        tag = re.search("|".join(tags), self._raw) if tags else None
        if tag and self.settled and self._raw[: tag.start()].strip():
            tag = None
        stretch = self._raw[: tag.start()] if tag else self._raw
        kept = "" if tag or ends or not tags else _find_beginning(stretch, tags)
        gain = self._write(stretch[: len(stretch) - len(kept)], ends=ends and not tag)
        self._raw = self._raw[tag.end() :] if tag else kept
        if tag:
            self._pass_tag(tag[0])
        return gain, tag is not None

    def _list_tags(self) -> Sequence[str]:
        """List the tags that mean something here; under a grammar an answer is calls from its beginning, or none."""
        if self.settled:
            return (OPEN,) if self._functions and not self._begun else ()
        return (*TAGS, *CALL_TAGS) if self._functions and self.state != "thinking" else TAGS

    def _read_call(self, *, ends: bool) -> tuple[Gain, bool]:
        """Read a call, in which nothing is a tag but its end; False where that is not there. What is none is text."""
        assert self._call is not None
        end = self._call.find(self._raw)
        if end is None and not ends:
            return Gain(), False
        body = self._raw[:end]
        self._raw = "" if end is None else self._raw[end + len(CLOSE) :]
        self._call = None
        call = read_call(body, self._functions)
        if call is None:
            return self._write(drop_tags(body).strip(), ends=False), True
        self.stopped = self._one_call
        return Gain(calls=(call,)), True

    def _write(self, text: str, *, ends: bool) -> Gain:
        if self.state == "start" and (text.strip() or (text and self.settled)):
            self.state = "answer"
        if self.state == "answer":
            exact = self.settled and not self._functions  # between calls white space is nothing
            return Gain(content=self._pass_answer(text if exact else self._trim(text), ends=ends))
        if self.state == "thinking":
            if self._inside is not None:
                self._inside += text
            return Gain(reasoning=self._trim(text))
        return Gain()

    def _pass_tag(self, tag: str) -> None:
        self._behind_tag = True
        self.stopped = self.stopped or tag in self._stop  # a model may have learned that its answers end so
        if tag == "<think>":
            if self.state == "answer":
                self._begun, self._spaces = False, ""
            self.state = "thinking"
        elif tag == "</think>":
            if self.state != "answer":
                self._begun, self._spaces, self._inside = False, "", None
            self.state = "answer"
        elif tag == OPEN:
            self.state, self._call = "answer", CallEnd()
        elif tag == "<answer>" and self.state == "thinking":
            self._inside = ""
        elif tag == "<answer>":
            self.state = "answer"

    def _trim(self, text: str) -> str:
        """Hold back white space: at the border of a part it is none of it, and around a tag it counts once."""
        if self._behind_tag and self._spaces:
            text = text.lstrip()
        self._behind_tag = self._behind_tag and not text
        text = self._spaces + text
        body = text.rstrip()
        self._spaces = text[len(body) :] if self._begun or body else ""
        if not self._begun:
            body = body.lstrip()
        self._begun = self._begun or bool(body)
        return body

    def _pass_answer(self, text: str, *, ends: bool) -> str:
        """Return what of the answer is surely before a stop text."""
        if not self._stop:
            return text
        self._answer += text
        places = [place for stop in self._stop if (place := self._answer.find(stop)) >= 0]
        if places:
            self.stopped = True
            return self._answer[: min(places)]
        kept = "" if ends else _find_beginning(self._answer, self._stop)
        passed, self._answer = self._answer[: len(self._answer) - len(kept)], kept
        return passed


def _join(gains: Sequence[Gain]) -> Gain:
    """Make one gain of several."""
    return Gain(
        reasoning="".join(gain.reasoning for gain in gains),
        content="".join(gain.content for gain in gains),
        calls=tuple(call for gain in gains for call in gain.calls),
    )


def _find_beginning(text: str, wanted: Sequence[str]) -> str:
    """Find the longest end of a text with which one of those wanted begins; "" where there is none."""
    longest = max(map(len, wanted)) - 1
    if {one[0] for one in wanted}.isdisjoint(text[-longest:]):  # as of nearly every text
        return ""
    for start in range(max(0, len(text) - longest), len(text)):
        if any(one.startswith(text[start:]) for one in wanted):
            return text[start:]
    return ""
