"""A row of a data set, whatever file it comes from: its values, the texts in them, and what makes it no row."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

HAN, LATIN = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"[A-Za-z]")


class Row(NamedTuple):
    """A row as it stands in the file; ``line`` counts from 1 (in a table: the row's number)."""

    line: int
    values: dict[str, Any]


class BadRow(NamedTuple):
    """A row that is none.

    Attributes:
        line: As in ``Row``.
        reason: Why.
        lacks: The column that it does not have, where that is why.
    """

    line: int
    reason: str
    lacks: str | None = None


class MalformedError(ValueError):
    """What is wanted cannot be made from a row; the message says why."""

    def locate(self, line: int) -> BadRow:
        """Return the bad row, by its line."""
        return BadRow(line, str(self), self.name if isinstance(self, MissingColumnError) else None)


class MissingColumnError(MalformedError):
    """A row has no column of this name."""

    def __init__(self, name: str, columns: Iterable[str]) -> None:
        self.name, self.columns = name, tuple(columns)
        super().__init__(name, self.columns)

    def __str__(self) -> str:
        return f"no field {self.name!r}; it has {', '.join(map(repr, self.columns)) or 'none'}"


class _RepeatedKeyError(ValueError):
    """A JSON object has a key twice: which value is meant is anybody's guess."""


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises:
        MalformedError: It is none, or has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise MalformedError("is not UTF-8 text") from None
    except RecursionError:
        raise MalformedError("is nested too deep") from None
    except json.JSONDecodeError as error:
        raise MalformedError(f"is no JSON: {error.msg}, column {error.colno}") from None
    except _RepeatedKeyError as error:
        raise MalformedError(str(error)) from None
    except ValueError as error:  # an integer of thousands of digits
        raise MalformedError(f"is no JSON: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKeyError(f"has the key {next(name for name in names if names.count(name) > 1)!r:.40} twice")
    return values


def get_column(row: Row, name: str) -> Any:
    """Return a column's value.

    Raises:
        MissingColumnError: The row has no such column.
    """
    if name not in row.values:
        raise MissingColumnError(name, row.values)
    return row.values[name]


def get_text(row: Row, name: str) -> str:
    """Return a column as text; see ``to_text``."""
    return to_text(get_column(row, name), name)


def to_text(value: Any, name: str) -> str:
    """Return a value as text; whole floats are integers (27.0 is 27).

    Args:
        value: A text or a number.
        name: The column's, for errors.

    Raises:
        MalformedError: It is something else, or a text that is empty or no valid Unicode.
    """
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


def detect_language(text: str) -> str:
    """Return ``zh`` where more than a third of the letters are Han characters, else ``en``."""
    return "zh" if 2 * len(HAN.findall(text)) > len(LATIN.findall(text)) else "en"
