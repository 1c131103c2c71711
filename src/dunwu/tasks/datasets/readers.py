"""Rows of a file, one by one, each with its number.

JSON lines, one JSON array, CSV (all also gzipped), Parquet, what ``datasets`` saved or loads. A row that cannot be read
is a ``BadRow``, not an exception, so that the caller decides how many are too many. What makes the whole file
unreadable (no such file, a cut gzip stream, no Parquet) is a ``UserError``.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from dunwu.errors import NotInstalled, UserError, refuse_stream
from dunwu.tasks.datasets.rows import BadRow, MalformedError, Row, parse_json

BOM = b"\xef\xbb\xbf"
SHOWN = 3
"""Reasons that an error shows."""
LONGEST_LINE = 2**20
"""Bytes of a line, its end included; what is longer is no row, and never stands in memory whole."""
LARGEST_ARRAY = 2**26
"""Bytes of a file that is one JSON array: it stands in memory whole."""
JSON_ARRAY, CSV = (".json", ".json.gz"), (".csv", ".csv.gz")
JSON_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", *JSON_ARRAY)
TABLE_ROWS = 1024
"""Rows that are turned into Python's values at a time."""

File = gzip.GzipFile | BufferedReader
Rows = Iterator[Row | BadRow]

log = logging.getLogger(__name__)


class Hub(NamedTuple):
    """A data set that ``datasets`` loads by its name, or from a folder of files that it reads.

    Attributes:
        name: ``openai/gsm8k``, or the folder.
        config: Which configuration; None: the only one, or its default.
        split: Which split; None: the only one.
    """

    name: str
    config: str | None
    split: str | None

    def __str__(self) -> str:
        return self.name


def read_rows(source: Path | Hub, longest: int = LONGEST_LINE) -> Rows:
    """Yield the rows of a source, in order; blank lines are no rows.

    Args:
        source: A file, a folder that ``datasets`` saved, or a data set by name.
        longest: Bytes of a line beyond which it is a bad row.

    Returns:
        The rows, and what could not be read as one.

    Raises:
        UserError: The path is missing, of no known form, or broken as a whole; the extra ``data`` is needed; a hub's
            data set cannot be loaded.
    """
    if isinstance(source, Hub):
        return _read_hub(source)
    if source.is_dir():
        return _read_datasets_folder(source)
    if not source.exists():
        raise UserError("no such file", file=source, field="path")
    refuse_stream(source, "path")
    if source.name.endswith(JSON_LINES):
        return _open_and_read(source, longest, _read_json)
    if source.name.endswith(CSV):
        return _open_and_read(source, longest, _read_csv)
    if source.suffix == ".parquet":
        return _read_parquet(source)
    text = f"is none of {', '.join((*JSON_LINES, *CSV))}, .parquet, or a folder saved by datasets"
    raise UserError(text, file=source, field="path")


def _open_and_read(path: Path, longest: int, read: Callable[[File, Path, int], Rows]) -> Rows:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield from read(file, path, longest)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot be read: {error}", file=path, field="path") from None


def _read_json(file: File, path: Path, longest: int) -> Rows:
    """Read JSON lines; in a file called .json all rows may stand in one array."""
    if path.name.endswith(JSON_ARRAY) and file.peek(1).removeprefix(BOM).lstrip()[:1] == b"[":
        yield from _read_array(file, path)
        return
    for number, line in enumerate(_iterate_lines(file, longest), start=1):
        if line is None:
            yield BadRow(number, f"is longer than {longest} bytes")
            continue
        text = (line.removeprefix(BOM) if number == 1 else line).strip()
        if text:
            yield _parse_line(number, text)


def _read_array(file: File, path: Path) -> Rows:
    content = file.read(LARGEST_ARRAY + 1)
    if len(content) > LARGEST_ARRAY:
        text = f"is one JSON array of more than {LARGEST_ARRAY} bytes: write an object a line"
        raise UserError(text, file=path, field="path")
    try:
        rows = parse_json(content.removeprefix(BOM))
    except MalformedError as error:
        raise UserError(f"begins as one JSON array, and {error}", file=path, field="path") from None
    yield from (_to_row(number, values) for number, values in enumerate(rows, start=1))


def _read_csv(file: File, path: Path, longest: int) -> Rows:
    """Read a line of names, then rows of as many texts; a quoted text may go over several lines."""
    csv.field_size_limit(longest)
    table = csv.reader(_decode_lines(file, path, longest), strict=True)
    names: list[str] = []
    while True:
        number = table.line_num + 1
        try:
            values = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            if not names:
                raise UserError(f"its first line is no CSV: {error}", file=path, field="path") from None
            yield BadRow(number, f"is no CSV: {error}")
            continue
        if not names:
            names = _read_header(values, path)
        elif len(values) == len(names):
            yield Row(number, dict(zip(names, values, strict=True)))
        elif values:
            yield BadRow(number, f"has {len(values)} fields, and the first line names {len(names)}")


def _read_header(values: list[str], path: Path) -> list[str]:
    names = [name.strip() for name in values]
    repeated = next((name for name in names if name and names.count(name) > 1), None)
    if repeated is not None or not any(names):
        text = "names no column" if repeated is None else f"names the column {repeated!r:.60} twice"
        raise UserError(f"its first line {text}", file=path, field="path")
    return names


def _decode_lines(file: File, path: Path, longest: int) -> Iterator[str]:
    for number, line in enumerate(_iterate_lines(file, longest), start=1):
        if line is None:
            raise UserError(f"line {number} is longer than {longest} bytes", file=path, field="path")
        # What is no UTF-8 becomes surrogates, by which whoever reads the text knows.
        yield (line.removeprefix(BOM) if number == 1 else line).decode("utf-8", "surrogateescape")


def _iterate_lines(file: File, longest: int) -> Iterator[bytes | None]:
    """Yield line by line; None for one that is too long."""
    while line := file.readline(longest + 1):
        yield line if len(line) <= longest else None
        while len(line) > longest and not line.endswith(b"\n"):
            line = file.readline(longest + 1)


def _parse_line(number: int, line: bytes) -> Row | BadRow:
    if b"\0" in line:
        return BadRow(number, "contains NUL bytes")
    try:
        return _to_row(number, parse_json(line))
    except MalformedError as error:
        return BadRow(number, str(error))


def _to_row(number: int, values: object) -> Row | BadRow:
    if not isinstance(values, dict):
        return BadRow(number, f"is a JSON {type(values).__name__}, not an object")
    return Row(number, values)


def _read_parquet(path: Path) -> Rows:
    import pyarrow.parquet

    from dunwu.tasks.datasets.arrow import UNREADABLE, iterate_rows

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            yield from iterate_rows(table.iter_batches(TABLE_ROWS))
    except UNREADABLE as error:
        raise UserError(f"cannot be read as Parquet: {error}", file=path, field="path") from None


def _read_datasets_folder(path: Path) -> Rows:
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
    yield from _read_table(table)


def _read_hub(hub: Hub) -> Rows:
    if importlib.util.find_spec("datasets") is None:
        raise NotInstalled("datasets", "data", file=hub.name, field="hub")
    import datasets

    try:
        table = datasets.load_dataset(hub.name, hub.config, split=hub.split)
    except Exception as error:  # the network's, the hub's and every reader's own: they have no common base
        text = f"cannot be loaded by datasets ({type(error).__name__}: {error}); name a file of it as path"
        raise UserError(text, file=hub.name, field="hub") from error
    if isinstance(table, datasets.DatasetDict):
        if len(table) > 1:
            raise UserError(f"has the splits {', '.join(table)}; name one of them", file=hub.name, field="split")
        (table,) = table.values()
    yield from _read_table(table)


def _read_table(table: Any) -> Rows:
    """Read through Arrow's types, as a Parquet file of the same rows; pictures and sounds are not decoded."""
    from dunwu.tasks.datasets.arrow import iterate_rows

    yield from iterate_rows(table.with_format("arrow").iter(TABLE_ROWS))


def find_missing_column(bad: Sequence[BadRow], rows: int) -> str | None:
    """Return the column that all of ``rows`` rows lack; None where that is not what is wrong."""
    names = {row.lacks for row in bad}
    return names.pop() if len(bad) == rows and len(names) == 1 else None


def report_bad_rows(source: Path | Hub, bad: Sequence[BadRow], rows: int, most: float) -> None:
    """Log the malformed rows that are left out, by line and reason.

    Args:
        source: What was read.
        bad: The malformed rows.
        rows: How many rows there were.
        most: The share of them, in [0, 1], that may be malformed.

    Raises:
        UserError: They are more.
    """
    lines: dict[str, list[int]] = {}
    for row in bad:
        lines.setdefault(row.reason, []).append(row.line)
    reasons = "; ".join(
        f"line {found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}: {reason}"
        for reason, found in list(lines.items())[:SHOWN]
    )
    if len(bad) > most * rows:
        text = f"{len(bad)} of {rows} rows are malformed, more than {100 * most:g} % of the rows"
        raise UserError(f"{text}: {reasons}", file=str(source), field="max_bad_rows")
    if bad:
        log.warning("%s: left out %d of %d rows as malformed: %s", source, len(bad), rows, reasons)
