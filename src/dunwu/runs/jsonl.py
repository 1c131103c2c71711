"""JSON-lines files of numbers: one object a line, durable line by line."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.types import is_floating, is_integer, is_null

from dunwu.errors import UserError
from dunwu.runs.atomic import append_line, atomic_write
from dunwu.runs.regular_files import require_regular

LARGEST = sys.float_info.max
LOST = "holds NUL bytes: a crash of the machine or of its disk has taken what stood here"


def append_numbers(path: Path, step: int, numbers: Mapping[str, float]) -> None:
    """Append {"step": step, **numbers}, keys sorted, floats exact.

    Args:
        path: The file.
        step: Updates done.
        numbers: By name; NaN and infinities, which JSON lacks, become null.
    """
    if "step" in numbers:
        raise ValueError("the name 'step' is taken by the line itself")
    values = {name: float(number) for name, number in numbers.items()}
    line = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
    append_line(path, json.dumps(line, sort_keys=True, ensure_ascii=False, allow_nan=False).encode())


def read_numbers(path: Path, renamed: Mapping[str, str] | None = None) -> list[dict[str, float]]:
    """Read the lines in order, without null entries and without a torn last line.

    Args:
        path: The file.
        renamed: Old name -> new name, of numbers that earlier versions called otherwise.

    Returns:
        A mapping for each line, with its ``step``.

    Raises:
        UserError: Another line is no object of finite numbers, or bytes were lost (NUL); the line is named.
    """
    lines = _read_lines(path)
    if b"\0" in _split_end(path)[1]:
        raise UserError(LOST, file=path, field=f"line {len(lines) + 1}")
    new = renamed or {}
    return [{new.get(name, name): value for name, value in entry.items() if value is not None} for _, entry in lines]


def read_numbers_table(path: Path, renamed: Mapping[str, str] | None = None) -> pa.Table:
    """Read the lines as a table, without a Python object for each.

    Args:
        path: The file.
        renamed: As for :func:`read_numbers`.

    Returns:
        The column ``step`` (int64), then the others by name (float64); null where a line lacks a number.

    Raises:
        UserError: As for :func:`read_numbers`.
    """
    content, end = _split_end(path)
    table = None if b"\0" in content + end else _parse_numbers(content)
    if table is None:
        read_numbers(path)  # names the line
        raise UserError("holds other things than numbers: was it edited?", file=path)
    return _rename_columns(table, renamed or {})


def cut_numbers(path: Path, last_step: float) -> None:
    """Remove the lines past ``last_step`` and a torn end; the bytes before them stay as they are."""
    if path.exists():
        kept = b"".join(line + b"\n" for line, entry in _read_lines(path) if entry["step"] <= last_step)
        if kept != path.read_bytes():
            atomic_write(path, kept)


def _parse_numbers(content: bytes) -> pa.Table | None:
    """Return whole lines as a table of numbers; None where one of them is anything else."""
    from pyarrow import json as arrow_json  # needed here alone

    if not content:
        return pa.table({"step": pa.array([], pa.int64())})
    try:
        options = arrow_json.ReadOptions(block_size=len(content) + 1)  # a block has its own idea of the types
        table = arrow_json.read_json(io.BytesIO(content), options)
    except pa.ArrowInvalid:
        return None
    numbers = all(is_integer(kind) or is_floating(kind) or is_null(kind) for kind in table.schema.types)
    if not (numbers and "step" in table.column_names and is_integer(table["step"].type)) or table["step"].null_count:
        return None
    others = {name: table[name].cast(pa.float64()) for name in set(table.column_names) - {"step"}}
    if not all(pc.all(pc.is_finite(column)).as_py() is not False for column in others.values()):
        return None
    return pa.table({"step": table["step"], **others})


def _rename_columns(table: pa.Table, renamed: Mapping[str, str]) -> pa.Table:
    """Give columns the names of today, in their order; a run that went on may have one number under both names."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for old, new in renamed.items():
        if (column := columns.pop(old, None)) is not None:
            columns[new] = pc.coalesce(columns[new], column) if new in columns else column
    return pa.table({name: columns[name] for name in ("step", *sorted(columns.keys() - {"step"}))})


def _read_lines(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """Return the bytes and the object of each line that ends; what follows the last newline was torn off by a kill."""
    lines = []
    for number, line in enumerate(_split_end(path)[0].split(b"\n")[:-1], 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if wrong := LOST if b"\0" in line else _find_fault(entry):
            raise UserError(wrong, file=path, field=f"line {number}")
        lines.append((line, entry))
    return lines


def _find_fault(entry: Any) -> str | None:
    """Return what keeps a line from being one of numbers; None where nothing does."""
    if not isinstance(entry, dict) or type(entry.get("step")) is not int:
        return 'is not a JSON object with a "step": was it edited?'
    for name, value in entry.items():
        number = type(value) in (int, float) and abs(value) <= LARGEST  # NaN is not
        if not (number or value is None):
            return f"{name} is {value!r:.40}, no number: was it edited?"
    return None


def _split_end(path: Path) -> tuple[bytes, bytes]:
    """Return the whole lines of a file, and what follows the last newline; nothing where there is no file."""
    try:
        content = require_regular(path).read_bytes() if path.exists() else b""
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
    whole = content.rfind(b"\n") + 1
    return content[:whole], content[whole:]
