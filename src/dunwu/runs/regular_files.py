"""Reading of a run only what is a file."""

from __future__ import annotations

import errno
from pathlib import Path


def regular(path: Path) -> Path:
    """Return a path that can be read at once, or is not there. Raises OSError where it is a pipe or a folder, say:
    whoever reads a pipe waits for somebody to write into it."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is no file", str(path))
    return path
