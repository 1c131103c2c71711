"""What a check of the recipe finds, and the hint at what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dunwu.errors import nearest


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: the field as the recipe writes it (``stages.zero.steps``), and what to mend."""

    field: str
    message: str


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` where one of the known words is close, else nothing."""
    close = nearest(word, known)
    return f"; did you mean {close}?" if close else ""
