"""What a file or a folder holds, as a hash: whether a stage would begin from the same things again."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from pathlib import Path

from dunwu.errors import UserError, refuse_stream


def compute_fingerprint(path: Path, *, ignored: Container[str] = ()) -> str:
    """Compute the sha256 of a file, or of the names and hashes of all files in a folder that are not hidden.

    Args:
        path: The file or folder.
        ignored: Suffixes of files in the folder that do not count, such as ``.md``.

    Returns:
        The hash, in hexadecimal digits.

    Raises:
        UserError: It is not there, or cannot be read.
    """
    try:
        if path.is_dir():
            hidden = {file for file in path.rglob("*") if any(part[0] == "." for part in file.relative_to(path).parts)}
            inside = sorted(file for file in path.rglob("*") if file.is_file() and file not in hidden)
            names = [(file, file.relative_to(path).as_posix()) for file in inside]
            lines = "".join(f"{name} {_sha256(file)}\n" for file, name in names if file.suffix not in ignored)
            return hashlib.sha256(lines.encode()).hexdigest()
        refuse_stream(path)
        return _sha256(path)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from None


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
