"""Reasoning that stands apart from an answer, in a message's fields or a row's columns, put before it in think tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dunwu.tasks.datasets.rows import MalformedError, to_text
from dunwu.types import REASONING_FIELDS

LOOKS_LIKE: Final = re.compile(
    r"(?:.*_)?(?:reasoning|thinking|thoughts?|rationale|cot|chain_of_thoughts?)"
    r"(?:_(?:contents?|text|details?|traces?|process|steps?|chain|output))?|think|analysis|scratchpad",
    re.IGNORECASE,
)
"""Names that are not read, and that people give to reasoning."""
SWITCHES: Final = frozenset(("on", "off", "true", "false", "yes", "no", "none", "auto", "low", "medium", "high"))
"""Texts under such names that say how a model was to think, as in Nemotron's data."""
TAGGED: Final = re.compile(r"\s*(?:<think>)?(.*?)</think>\s*", re.DOTALL)
"""The reasoning with which an answer begins."""


def add_reasoning(answer: str, values: Mapping[str, Any], names: Iterable[str] = REASONING_FIELDS) -> str:
    """Put what ``values`` hold as reasoning before an answer that does not hold it.

    Args:
        answer: The answer's text.
        values: The row's or the message's values, by name.
        names: Those under which reasoning is read.

    Returns:
        The answer, before it the reasoning in tags as R1 and Qwen3 write them, in the place of an empty one.

    Raises:
        MalformedError: The reasoning is no text, or another than the answer has.
    """
    for name in names:
        if values.get(name) and not _is_switch(values[name]):
            answer = _join(to_text(values[name], name), answer, name)
    return answer


def refuse_unread(answer: str, values: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse what is called as reasoning is, and is neither read here nor in the answer.

    Args:
        answer: The answer's text.
        values: The row's or the message's values, by name.
        known: Names that are read.

    Raises:
        MalformedError: There is such a value.
    """
    for name in sorted(values.keys() - {*known}):
        value = values[name]
        if not LOOKS_LIKE.fullmatch(name) or not isinstance(value, str | list | dict) or not value or _is_switch(value):
            continue
        if not isinstance(value, str) or _normalize(value) not in _normalize(answer):
            raise MalformedError(
                f"{name!r} looks like reasoning, which is read under {', '.join(REASONING_FIELDS[:3])}"
            )


def _is_switch(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower() in SWITCHES


def _join(thought: str, answer: str, name: str) -> str:
    thought = thought.strip().removeprefix("<think>").removesuffix("</think>").strip("\n")
    if "<think>" in thought or "</think>" in thought:
        raise MalformedError(f"{name!r} has think tags within")
    held = TAGGED.match(answer)
    own = held[1] if held else answer.partition("<think>")[2]
    if _normalize(thought) in _normalize(own):
        return answer
    if _normalize(own) or (held is None and "<think>" in answer):
        raise MalformedError(f"{name!r} is one thought, and the answer has another in its think tags")
    rest = answer[held.end() :] if held else answer
    return f"<think>\n{thought}\n</think>\n\n{rest.lstrip(chr(10))}"


def _normalize(text: str) -> str:
    """Return a text with single spaces."""
    return " ".join(text.split())
