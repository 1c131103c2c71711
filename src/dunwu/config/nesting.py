"""How deep values of TOML and JSON are nested, found without recursion: what walks them by it would overflow."""

from __future__ import annotations

from typing import Any, Final

DEEPEST: Final = 64
"""Levels; recipes and configs have fewer than ten."""


def is_too_deep(value: object) -> bool:
    """Whether tables and lists stand in each other more than ``DEEPEST`` levels deep."""
    level = [value]
    for _ in range(DEEPEST):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return False
    return True


def _parts(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
