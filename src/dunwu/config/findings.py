"""What a check of the recipe finds, the hint at what was meant, and numbers in such sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: the field as the recipe writes it (``stages.zero.steps``), and what to mend."""

    field: str
    message: str


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` where one of the known words is close, else nothing."""
    close = nearest(word, known)
    return f"; did you mean {close}?" if close else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; None where none is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def counted(count: int, noun: str) -> str:
    """Write a number with what it counts: ``1 rollout``, ``1,200 rollouts``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
