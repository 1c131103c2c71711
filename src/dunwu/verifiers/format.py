"""R1's format rule and where answers stand (arXiv 2501.12948v2, section 2.2 and table 1)."""

from __future__ import annotations

import re
from typing import Literal

BRACES = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
LEAD_IN = re.compile(
    r"(?:(?:so|thus|therefore|hence|所以|因此)[,，]?\s*)?(?:the\s+)?(?:final\s+)?(?:answer|答案)\s*(?:is|是|为|[:：=])+\s*",
    re.I,
)


def follows_format(text: str) -> bool:
    """Whether ``text`` is reasoning in think tags, then an answer in answer tags, and nothing else.

    Each of the four tags stands exactly once, in order; both contents are more than whitespace; before, between and
    after them there is whitespace only. The opening think tag is the completion's own: the template does not write it.
    """
    if any(text.count(tag) != 1 for tag in TAGS):
        return False
    before, rest = text.split("<think>")
    reasoning, closed, rest = rest.partition("</think>")
    between, opened, rest = rest.partition("<answer>")
    answer, ended, after = rest.partition("</answer>")
    in_order = bool(closed and opened and ended)
    return in_order and bool(reasoning.strip() and answer.strip()) and not (before + between + after).strip()


def extract(text: str, where: Literal["answer-tag", "boxed", "last-line"]) -> str | None:
    r"""The answer as written, or None where there is none (or an empty one).

    - ``answer-tag``: the content of the last closed answer tag.
    - ``boxed``: the content of the last complete ``\boxed{}``.
    - ``last-line``: the last line that is not blank, without a lead-in such as "The answer is".

    A ``\boxed{}`` inside the answer or the line is unwrapped.
    """
    if where == "boxed":
        return last_boxed(text)
    found = _last_answer_tag(text) if where == "answer-tag" else _last_line(text)
    if found is None:
        return None
    return last_boxed(found) or found.strip() or None


def _last_answer_tag(text: str) -> str | None:
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, max(end, 0))
    return None if end < 0 or start < 0 else text[start + len("<answer>") : end]


def _last_line(text: str) -> str | None:
    lines = text.rstrip().splitlines()
    if not lines:
        return None
    line = lines[-1].strip()
    lead_ins = list(LEAD_IN.finditer(line))
    return (line[lead_ins[-1].end() :] if lead_ins else line).rstrip(" .。")


def last_boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{...}`` whose braces close, escaped braces left alone; None where it is blank.

    One pass, so that no text makes it slow.
    """
    opened: list[tuple[int, bool]] = []
    last = (-1, -1)
    for match in BRACES.finditer(text):
        if match[0].endswith("{") and match[0] != "\\{":
            opened.append((match.end(), match[0] != "{"))
        elif match[0] == "}" and opened:
            start, boxed = opened.pop()
            if boxed and start > last[0]:
                last = (start, match.start())
    return text[slice(*last)].strip() or None
