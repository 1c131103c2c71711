"""Under what a chain is kept beside its question: the model, and the way of sampling."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from dunwu.errors import Fault, UserError, refuse_stream
from dunwu.models.cache_folder import find_cache
from dunwu.runs.atomic import atomic_write, make_directory
from dunwu.runs.file_signature import content_signature, file_signature

SETTLED_S: Final = 2.0
"""Seconds after which a file's times tell a second writing from the first, on any file system."""


def make_sampling_key(sampling: Mapping[str, object]) -> str:
    """Write whatever decides an answer beside model and question as canonical JSON.

    Args:
        sampling: Temperature, top-p, bounds, budget, stop, response format, votes, seed where one is asked for, and the
            type of the weights in memory; of types that JSON knows.

    Returns:
        The same text for the same values in any order.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(sampling, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_model(model: Path, template: str) -> str:
    """Hash what a model is made of: the content of its files, and its prompt template.

    A copy of a model has the same hash. Files are read once: what a file's content hashes to is remembered in Dunwu's
    cache, under its path, size, times and inode. An adapter counts with the folder of its base.

    Args:
        model: A folder, or one file such as a GGUF.
        template: The text or name of the template that prompts are written with.

    Returns:
        64 hexadecimal digits.

    Raises:
        UserError: It is not there, is empty, or cannot be read.
    """
    refuse_stream(model)
    lines = [json.dumps([name, _hash_file(path)]) for name, path in _list_files(model)]
    if not lines:
        raise UserError("holds no model: there are no files in it", file=model)
    return hashlib.sha256("\n".join([json.dumps(template), *lines]).encode()).hexdigest()


def _list_files(model: Path) -> Iterator[tuple[str, Path]]:
    """Yield what an answer depends on: all files but hidden ones and pages for people."""
    if not model.is_dir():
        yield "", model
        return
    for path in sorted(model.rglob("*")):
        name = path.relative_to(model)
        if path.is_file() and path.suffix != ".md" and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path
    base = _find_base(model)
    if base:
        yield from ((f"base/{name}", path) for name, path in _list_files(base))


def _find_base(model: Path) -> Path | None:
    """Return the folder whose weights an adapter changes; None for whole models and names of a hub."""
    try:
        config = json.loads((model / "adapter_config.json").read_bytes())
        base = Path(config["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return base if base.is_dir() and base.resolve() != model.resolve() else None


def _hash_file(path: Path) -> str:
    """Return a file's size and sha256, remembered where its last writing lies far enough back."""
    try:
        before = file_signature(path)
        name = hashlib.sha256(f"{path.resolve()}\n{before}".encode()).hexdigest()[:32]
        kept = find_cache() / "content-hashes" / name
        if kept.exists():
            return kept.read_text(encoding="ascii")
        content = content_signature(path)
        status = path.stat()
        settled = time.time() - max(status.st_mtime, status.st_ctime) > SETTLED_S
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from None
    if settled and file_signature(path) == before:
        _remember(kept, content)
    return content


def _remember(kept: Path, content: str) -> None:
    try:
        make_directory(kept.parent)
        atomic_write(kept, content.encode("ascii"))
    except Fault:  # a full disk costs the next start its seconds, and this one nothing
        return
