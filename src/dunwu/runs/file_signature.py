"""Whether a file has been written again."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from dunwu.runs.regular_files import require_regular


def file_signature(path: Path) -> str:
    """Return a text that changes when a file is written again or replaced; "-" where there is none.

    It costs no reading. After a copy, or on another machine, the same file has another.
    """
    try:
        status = path.stat()
    except OSError:
        return "-"
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"


def content_signature(path: Path) -> str:
    """Name a file's content, whenever and wherever it was written, so that what is kept for it survives a copy.

    Args:
        path: The file; it is read again only when its :func:`file_signature` has changed.

    Returns:
        Its size in bytes and the sha256 of its content.

    Raises:
        OSError: It is not there, or cannot be read.
    """
    return _hash(path, file_signature(path))


@lru_cache(maxsize=100_000)
def _hash(path: Path, _: str) -> str:
    with require_regular(path).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return f"{content.tell()} bytes; sha256 {digest}"
