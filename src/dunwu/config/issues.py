"""What a check of the recipe finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong: the field as the recipe writes it (``stages.zero.steps``), and what to mend."""

    field: str
    message: str
