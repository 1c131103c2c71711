"""Rows of a file, one by one, each with its number: JSON lines (also gzipped), Parquet, what ``datasets`` saved or
loads.

A row that cannot be read is a ``BadRow``, not an exception, so that the caller decides how many are too many. What
makes the whole file unreadable (no such file, a cut gzip stream, no Parquet) is a ``UserError``.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import math
import re
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

from dunwu.errors import NotInstalled, UserError

BOM = b"\xef\xbb\xbf"
SHOWN = 3
"""Reasons that are told."""
LONGEST_LINE = 2**20
"""Bytes, the line end among them; what is longer is no row, and never stands in memory whole."""
HAN, LATIN = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"[A-Za-z]")
JSON_LINES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")


log = logging.getLogger(__name__)


class Row(NamedTuple):
    """A row as it stands in the file; ``line`` counts from 1 (of a table: the row's number)."""

    line: int
    values: dict[str, Any]


class BadRow(NamedTuple):
    """A row that is none, and why."""

    line: int
    reason: str


class MalformedError(ValueError):
    """A row from which what is wanted cannot be made; the message says why."""


class Hub(NamedTuple):
    """A data set that ``datasets`` loads by its name, or from a folder of files that it reads."""

    name: str
    config: str | None
    split: str | None

    def __str__(self) -> str:
        return self.name


def read_rows(source: Path | Hub, longest: int = LONGEST_LINE) -> Iterator[Row | BadRow]:
    """The rows of ``source``, in order; blank lines are no rows, and lines of more than ``longest`` bytes are none.

    Raises:
        UserError: the path is missing, of no known form, or broken as a whole; the extra ``data`` is needed; a hub's
            data set cannot be loaded.
    """
    if isinstance(source, Hub):
        return _hub(source)
    if source.is_dir():
        return _datasets_folder(source)
    if not source.exists():
        raise UserError("no such file", file=source, field="path")
    if source.name.endswith(JSON_LINES):
        return _json_lines(source, longest)
    if source.suffix == ".parquet":
        return _parquet(source)
    raise UserError(
        f"is none of {', '.join(JSON_LINES)}, .parquet, or a folder saved by datasets", file=source, field="path"
    )


def _json_lines(path: Path, longest: int) -> Iterator[Row | BadRow]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(_lines(file, longest), start=1):
                if line is None:
                    yield BadRow(number, f"is longer than {longest} bytes")
                    continue
                text = (line.removeprefix(BOM) if number == 1 else line).strip()
                if text:
                    yield _parse(number, text)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot be read: {error}", file=path, field="path") from None


def _lines(file: BufferedIOBase, longest: int) -> Iterator[bytes | None]:
    """Line by line; None for one that is too long."""
    while line := file.readline(longest + 1):
        yield line if len(line) <= longest else None
        while len(line) > longest and not line.endswith(b"\n"):
            line = file.readline(longest + 1)


class _RepeatedKeyError(ValueError):
    """A JSON object has a key twice: which value is meant is anybody's guess."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(f"has the key {next(name for name in names if names.count(name) > 1)!r:.40} twice")
    return values


def _parse(number: int, line: bytes) -> Row | BadRow:
    if b"\0" in line:
        return BadRow(number, "contains NUL bytes")
    try:
        values = json.loads(line, object_pairs_hook=_object)
    except UnicodeDecodeError:
        return BadRow(number, "is not UTF-8 text")
    except RecursionError:
        return BadRow(number, "is nested too deep")
    except json.JSONDecodeError as error:
        return BadRow(number, f"is no JSON: {error.msg}, column {error.colno}")
    except _RepeatedKeyError as error:
        return BadRow(number, str(error))
    except ValueError as error:  # an integer of thousands of digits
        return BadRow(number, f"is no JSON: {error}")
    if not isinstance(values, dict):
        return BadRow(number, f"is a JSON {type(values).__name__}, not an object")
    return Row(number, values)


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        number = 0
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches():
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"cannot be read as Parquet: {error}", file=path, field="path") from None


def _datasets_folder(path: Path) -> Iterator[Row]:
    if importlib.util.find_spec("datasets") is None:
        raise NotInstalled("datasets", "data", file=path, field="path")
    import datasets

    try:
        table = datasets.load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise UserError(f"is no folder saved by datasets: {error}", file=path, field="path") from None
    if isinstance(table, datasets.DatasetDict):
        splits = ", ".join(table)
        raise UserError(f"holds the splits {splits}; name one of them: {path / next(iter(table))}", field="path")
    for number, values in enumerate(table, start=1):
        yield Row(number, values)


def _hub(hub: Hub) -> Iterator[Row]:
    if importlib.util.find_spec("datasets") is None:
        raise NotInstalled("datasets", "data", file=hub.name, field="hub")
    import datasets

    try:
        table = datasets.load_dataset(hub.name, hub.config, split=hub.split)
    except Exception as error:  # the network's, the hub's and every reader's own: they have no common base
        text = f"cannot be loaded by datasets ({type(error).__name__}: {error}); a file of it can be named as path"
        raise UserError(text, file=hub.name, field="hub") from error
    if isinstance(table, datasets.DatasetDict):
        if len(table) > 1:
            raise UserError(f"has the splits {', '.join(table)}; name one of them", file=hub.name, field="split")
        (table,) = table.values()
    for number, values in enumerate(table, start=1):
        yield Row(number, values)


def column(row: Row, name: str) -> Any:
    """A column's value. Raises MalformedError where the row has none."""
    if name not in row.values:
        raise MalformedError(f"no field {name!r}; it has {', '.join(map(repr, row.values)) or 'none'}")
    return row.values[name]


def text_of(row: Row, name: str) -> str:
    """A column as text; see ``written``."""
    return written(column(row, name), name)


def written(value: Any, name: str) -> str:
    """Text as it is, whole floats as integers (27.0 is 27). Raises MalformedError for anything else, and bad text."""
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else value
    elif not isinstance(value, str | int) or isinstance(value, bool):
        raise MalformedError(f"{name!r} is {type(value).__name__} {value!r:.40}, not text or a number")
    text = str(value)
    if not text.strip():
        raise MalformedError(f"{name!r} is empty")
    if "\0" in text:
        raise MalformedError(f"{name!r} contains NUL bytes")
    if not text.isascii() and re.search(r"[\ud800-\udfff]", text):
        raise MalformedError(f"{name!r} is no valid Unicode: a lone surrogate")
    return text


def language_of(text: str) -> str:
    """``zh`` where more than a third of the letters are Han characters, else ``en``."""
    return "zh" if 2 * len(HAN.findall(text)) > len(LATIN.findall(text)) else "en"


def leave_out(source: Path | Hub, bad: list[tuple[int, str]], rows: int, most: float) -> None:
    """Tells of malformed rows, by line and reason, that are left out of so many.

    Raises:
        UserError: they are more than a share ``most``.
    """
    lines: dict[str, list[int]] = {}
    for line, reason in bad:
        lines.setdefault(reason, []).append(line)
    told = "; ".join(
        f"line {found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}: {reason}"
        for reason, found in list(lines.items())[:SHOWN]
    )
    if len(bad) > most * rows:
        text = f"{len(bad)} of {rows} rows are malformed, more than max_bad_rows = {most:g}"
        raise UserError(f"{text}: {told}", file=str(source), field="max_bad_rows")
    if bad:
        log.warning("%s: left out %d of %d rows as malformed: %s", source, len(bad), rows, told)
