"""JSON-lines files of numbers: one object a line, durable line by line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dunwu.errors import UserError
from dunwu.runs.atomic import append_line, atomic_write
from dunwu.runs.regular_files import regular

LARGEST = sys.float_info.max
LOST = "holds NUL bytes: a crash of the machine or of its disk has taken what stood here"


def append_numbers(path: Path, step: int, numbers: Mapping[str, float]) -> None:
    """Appends {"step": step, **numbers}, keys sorted, floats exact (repr).

    NaN and infinities, which JSON lacks, become null.
    """
    if "step" in numbers:
        raise ValueError("the name 'step' is taken by the line itself")
    values = {name: float(number) for name, number in numbers.items()}
    line = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
    append_line(path, json.dumps(line, sort_keys=True, ensure_ascii=False, allow_nan=False).encode())


def read_numbers(path: Path) -> list[dict[str, float]]:
    """Read the lines in order, without null entries and without a torn last line.

    Raises:
        UserError: another line is no object of finite numbers, or bytes were lost (NUL); the line is named.
    """
    lines = _lines(path)
    if b"\0" in _end(path):
        raise UserError(LOST, file=path, field=f"line {len(lines) + 1}")
    return [{name: number for name, number in entry.items() if number is not None} for _, entry in lines]


def cut_numbers(path: Path, last_step: float) -> None:
    """Removes the lines past ``last_step`` and a torn end, leaving the bytes before them as they are."""
    if path.exists():
        kept = b"".join(line + b"\n" for line, entry in _lines(path) if entry["step"] <= last_step)
        if kept != path.read_bytes():
            atomic_write(path, kept)


def _lines(path: Path) -> list[tuple[bytes, dict[str, Any]]]:
    """The bytes and the object of each line that ends; what follows the last newline was torn off by a kill."""
    lines = []
    for number, line in enumerate(_content(path).split(b"\n")[:-1], 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if wrong := LOST if b"\0" in line else _wrong(entry):
            raise UserError(wrong, file=path, field=f"line {number}")
        lines.append((line, entry))
    return lines


def _wrong(entry: Any) -> str | None:
    """What keeps a line from being one of numbers; None where nothing does."""
    if not isinstance(entry, dict) or type(entry.get("step")) is not int:
        return 'is not a JSON object with a "step": was it edited?'
    for name, value in entry.items():
        number = type(value) in (int, float) and abs(value) <= LARGEST  # NaN is not
        if not (number or value is None):
            return f"{name} is {value!r:.40}, no number: was it edited?"
    return None


def _end(path: Path) -> bytes:
    """What follows the last newline."""
    return _content(path).rpartition(b"\n")[2]


def _content(path: Path) -> bytes:
    """All of a file; nothing where there is none."""
    try:
        return regular(path).read_bytes() if path.exists() else b""
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
