"""Runs are read from files alone: whoever opened a pipe would wait until somebody writes into it."""

from __future__ import annotations

import errno
from pathlib import Path


def require_regular(path: Path) -> Path:
    """Return a path that is a file, or is not there.

    Raises:
        OSError: It is a pipe, a folder or a device.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is no file", str(path))
    return path
