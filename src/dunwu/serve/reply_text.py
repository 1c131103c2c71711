"""A reply while it is written: which of its text is reasoning, which is the answer, and where it has to stop.

No literal tag reaches a reader, however tokens cut it: text that may become a tag, or a stop string, waits until it is
known. What a whole reply comes to is what the verifiers make of it (``verifiers.format.extract_response``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from dunwu.verifiers.format import TAG, TAGS

State = Literal["start", "thinking", "answer"]


class Gain(NamedTuple):
    """What a reply gained: more reasoning, more of the answer."""

    reasoning: str = ""
    content: str = ""


class ReplyText:
    """Parts a reply into reasoning and answer, piece by piece.

    Args:
        opening: what the prompt has written of the reply: think tags, or "".
        stop: texts that end the answer, which does not hold them; a tag ends it, too.

    Attributes:
        state: where the text stands: before anything, in the reasoning, or in the answer.
        stopped: a stop text has come; nothing follows it.
        settled: what comes is the answer whatever it says: a grammar holds it, and tags in it are text.
    """

    def __init__(self, opening: str, stop: Sequence[str] = ()) -> None:
        self.state: State = "answer" if "</think>" in opening else "thinking" if "<think>" in opening else "start"
        self.stopped = self.settled = False
        self._stop = tuple(stop)
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
            return Gain(gain.reasoning, gain.content + self._pass_answer(self._inside.strip(), ends=True))
        return gain

    def _read(self, text: str, *, ends: bool) -> Gain:
        """Go from tag to tag; what may be the beginning of one is kept for later."""
        self._raw += text
        reasoning, content = "", ""
        while not self.stopped:
            tag = None if self.settled else TAG.search(self._raw)
            stretch = self._raw[: tag.start()] if tag else self._raw
            kept = "" if tag or ends or self.settled else _find_beginning(stretch, TAGS)
            gain = self._write(stretch[: len(stretch) - len(kept)], ends=ends and not tag)
            reasoning, content = reasoning + gain.reasoning, content + gain.content
            if tag is None:
                self._raw = kept
                break
            self._raw = self._raw[tag.end() :]
            self._pass_tag(tag[0])
        return Gain(reasoning, content)

    def _write(self, text: str, *, ends: bool) -> Gain:
        if self.state == "start" and text.strip():
            self.state = "answer"
        if self.state == "answer":
            return Gain(content=self._pass_answer(self._trim(text), ends=ends))
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


def _find_beginning(text: str, wanted: Sequence[str]) -> str:
    """Find the longest end of a text with which one of those wanted begins; "" where there is none."""
    longest = max(map(len, wanted)) - 1
    for start in range(max(0, len(text) - longest), len(text)):
        if any(one.startswith(text[start:]) for one in wanted):
            return text[start:]
    return ""
