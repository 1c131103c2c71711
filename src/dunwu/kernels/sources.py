"""The kernels' sources, by which an extension knows what it was built from. setup.py runs this file by itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent / "source"


def list_sources() -> list[Path]:
    """List the files; none where they were not packed."""
    return sorted(path for path in FOLDER.glob("*") if path.suffix in (".cpp", ".h"))


def hash_sources() -> str:
    """Hash their names and contents."""
    parts = [part for path in list_sources() for part in (path.name.encode(), path.read_bytes())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
