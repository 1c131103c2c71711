"""What readers derive from stored rollouts and keep beside them: DIR/derived/STAGE/step-000016.arrow.

Written by whoever reads a run, never by training, so that the next reader is quick. All of it may be deleted at any
time. A table belongs to the rollouts of one size and modification time and to what made it; anything else is as good
as absent, as is a file that is torn or cannot be written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from dunwu.errors import Fault
from dunwu.runs.atomic import atomic_write, make_directory
from dunwu.runs.checkpoints import step_name

SOURCE = b"dunwu.source"


def read(stage: Path, step: int, maker: str) -> pa.Table | None:
    """The table that ``maker`` derived from a step's rollouts as they are now; None where there is none, or a damaged
    one. It is read into memory: pages of a file that somebody cuts short would take the process along."""
    try:
        table = pa.ipc.open_file(pa.BufferReader(_path(stage, step).read_bytes())).read_all()
        table.validate(full=True)
        known = (table.schema.metadata or {}).get(SOURCE)
        return table if known == source_of(stage, step, maker) else None
    except (OSError, pa.ArrowException, ValueError):
        return None


def write(stage: Path, step: int, maker: str, table: pa.Table, source: bytes) -> None:
    """Keeps a table, if the folder lets itself be written. ``source``: what ``source_of`` said before the rollouts were
    read, so that rollouts that were replaced meanwhile are not taken for those."""
    sink = pa.BufferOutputStream()
    told = table.replace_schema_metadata({SOURCE: source})
    with pa.ipc.new_file(sink, told.schema) as writer:
        writer.write_table(told)
    with suppress(Fault):
        _put(_path(stage, step), sink.getvalue().to_pybytes())


def can_write(stage: Path) -> bool:
    """Whether tables of a stage can be kept."""
    try:
        make_directory(_folder(stage))
    except Fault:
        return False
    return os.access(_folder(stage), os.W_OK)


def source_of(stage: Path, step: int, maker: str) -> bytes:
    """What a table is derived from, and by what. Raises OSError where the step has no rollouts."""
    status = (stage / "rollouts" / f"{step_name(step)}.parquet").stat()
    return f"{maker}; {status.st_size} bytes; {status.st_mtime_ns} ns".encode()


def keep(stage: Path, name: str, record: Mapping[str, Any], of: str) -> None:
    """Keeps a record under a name, DIR/derived/STAGE/NAME.json; ``of``: what it was made from. Raises Fault where the
    file system refuses."""
    _put(_folder(stage) / f"{name}.json", json.dumps({"of": of, **record}, ensure_ascii=False, indent=2).encode())


def kept(stage: Path, name: str, of: str) -> dict[str, Any] | None:
    """The record, if it was made from this; None otherwise."""
    try:
        record = json.loads((_folder(stage) / f"{name}.json").read_text(encoding="utf-8"))
        return record if record["of"] == of else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _put(path: Path, content: bytes) -> None:
    make_directory(path.parent)
    atomic_write(path, content)


def _folder(stage: Path) -> Path:
    return stage.parent.parent / "derived" / stage.name


def _path(stage: Path, step: int) -> Path:
    return _folder(stage) / f"{step_name(step)}.arrow"
