"""Where Dunwu keeps what it could make again."""

from __future__ import annotations

import os
from pathlib import Path


def find_cache() -> Path:
    """Return ``$DUNWU_CACHE``, or ``dunwu`` below ``$XDG_CACHE_HOME``, or ``~/.cache/dunwu``; it need not exist."""
    chosen = os.environ.get("DUNWU_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen).expanduser() if chosen else home / "dunwu"
