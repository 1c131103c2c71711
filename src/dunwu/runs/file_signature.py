"""Telling whether a file has been written again."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from dunwu.runs.regular_files import regular


def mark(path: Path) -> str:
    """Tell cheaply whether a file has been written again, within one process.

    Args:
        path: the file.

    Returns:
        Another text where the file has been written again or replaced; "-" where there is none.
    """
    try:
        status = path.stat()
    except OSError:
        return "-"
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def content_mark(path: Path) -> str:
    """Name a file's content, whenever and wherever it was written: what is kept on disk for it survives a copy.

    Args:
        path: the file; it is read again only when :func:`mark` says something else.

    Returns:
        Its size in bytes and the sha256 of its content.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    return _hashed(path, mark(path))


@lru_cache(maxsize=100_000)
def _hashed(path: Path, _: str) -> str:
    with regular(path).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return f"{content.tell()} bytes; sha256 {digest}"
