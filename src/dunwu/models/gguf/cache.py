"""Where models from GGUF files lie when they have been dequantised, and how each gets there once.

    CACHE/gguf/HASH-cN/          a transformers folder; HASH is that of the file, N the converter's number
    CACHE/gguf/HASH-cN.lock      held while it is made
    CACHE/gguf/files/*.json      the hash of each file by its path, size and times, so that none is read twice for it

CACHE is ``find_cache``. All of it may be deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from dunwu.errors import Fault, UserError
from dunwu.models.cache_folder import find_cache
from dunwu.models.gguf.conversion import CONVERTER, measure_weights, write_folder
from dunwu.models.gguf.header import Header, read_header
from dunwu.models.gguf.source import find_gguf
from dunwu.runs.atomic import atomic_directory, atomic_write, make_directory, translate_errors
from dunwu.runs.file_signature import file_signature
from dunwu.runs.fingerprints import compute_fingerprint

SETTLED_SECONDS: Final = 2.0
"""A file that was written more recently than this may be written again without a change of its times."""
HASH_DIGITS: Final = 32


class Listener(Protocol):
    """Hears of a conversion; ``monitoring.progress.Progress`` is one."""

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Take what goes on now, how far it is, and how far it goes."""

    def log_message(self, text: str) -> None:
        """Take one line for people."""


class Silent:
    """Shows nothing."""

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Show nothing."""

    def log_message(self, text: str) -> None:
        """Show nothing."""


def convert_gguf(path: Path, listener: Listener | None = None) -> Path:
    """Return the transformers folder of the model in a GGUF file; it is made where the cache has none.

    Args:
        path: The GGUF file.
        listener: Hears of a conversion, which takes seconds.

    Raises:
        UserError: The file is none that is read, or is damaged; see ``read_header`` and ``write_folder``.
        Fault: The cache cannot be written, or has no room.
    """
    listener, signature = listener or Silent(), file_signature(path)
    folder = _cache() / f"{hash_gguf(path)[:HASH_DIGITS]}-c{CONVERTER}"
    if folder.is_dir():
        return folder
    header = read_header(path)
    make_directory(folder.parent)
    with _hold(folder.with_suffix(".lock"), path, listener):
        if not folder.is_dir():
            _convert(header, signature, folder, listener)
    return folder


def convert_source(source: str, listener: Listener) -> None:
    """Make sure that a model which lies in a GGUF file is in the cache; any other needs nothing."""
    if (file := find_gguf(source)) is not None:
        convert_gguf(file, listener)


def hash_gguf(path: Path) -> str:
    """Return the SHA-256 of a file's content, which is read again only when its size or times have changed.

    Raises:
        UserError: It is not there, cannot be read, or is being written.
    """
    signature = file_signature(path)
    place = str(path.absolute())
    memo = (
        _cache() / "files" / f"{hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:HASH_DIGITS]}.json"
    )
    with suppress(OSError, ValueError, KeyError, TypeError):  # whatever is wrong with it, the file is read again
        kept = json.loads(memo.read_bytes())
        if (kept["path"], kept["signature"]) == (place, signature):
            return str(kept["sha256"])
    digest = compute_fingerprint(path)
    if file_signature(path) != signature:
        raise UserError("is being written: try again when it is whole", file=path)
    if time.time() - path.stat().st_ctime > SETTLED_SECONDS:
        content = {"path": place, "signature": signature, "sha256": digest}
        with suppress(Fault):  # it saves a second, and a cache that cannot be written may still be read
            make_directory(memo.parent)
            atomic_write(memo, json.dumps(content).encode())
    return digest


def _cache() -> Path:
    return find_cache() / "gguf"


@contextmanager
def _hold(lock: Path, path: Path, listener: Listener) -> Iterator[None]:
    """Hold a lock while a file is converted; the kernel gives it back when a process ends in whatever way."""
    with translate_errors(lock):
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            listener.show_activity(f"waiting for another process, which dequantises {path.name}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _convert(header: Header, signature: str, folder: Path, listener: Listener) -> None:
    """Make the folder of a model; its lock is held, so that what another process has left is of no use to anybody.

    Args:
        header: The file's.
        signature: That of the file when it was hashed: what is written must be the model of this hash.
        folder: Its name has the hash.
        listener: Hears how far it is.
    """
    began, path = time.monotonic(), header.path
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    needed, free = measure_weights(header), shutil.disk_usage(folder.parent).free
    if needed > free:
        raise Fault(
            f"{folder}: {path.name} takes {needed >> 20:,} MiB when it is dequantised, and {free >> 20:,} MiB are "
            "free: make room, or set DUNWU_CACHE to a folder on another disk"
        )
    what = f"dequantising {path.name}"

    def write(temporary: Path) -> None:
        write_folder(header, temporary, lambda done, total: listener.show_activity(what, done, total))
        if file_signature(path) != signature:
            raise UserError("was written while it was read: try again when it is whole", file=path)

    listener.show_activity(what)
    atomic_directory(folder, write)
    kinds = ", ".join(f"{count} {encoding}" for encoding, count in header.encodings.items())
    text = f"{path.name}: tensors ({kinds}) dequantised into {folder} ({needed >> 20:,} MiB)"
    listener.log_message(f"{text} in {time.monotonic() - began:.1f} s")
