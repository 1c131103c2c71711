"""Telling whether a file has been written again."""

from __future__ import annotations

from pathlib import Path


def mark(path: Path) -> str:
    """Another text where the file has been written again; "-" where there is none."""
    try:
        status = path.stat()
    except OSError:
        return "-"
    return f"{status.st_size}:{status.st_mtime_ns}"
