"""A row of a data set, whatever file it comes from: its values, the texts in them, and what makes it no row."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

HAN, LATIN = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"[A-Za-z]")


class Row(NamedTuple):
    """A row as it stands in the file; ``line`` counts from 1 (of a table: the row's number)."""

    line: int
    values: dict[str, Any]


class BadRow(NamedTuple):
    """A row that is none, and why; ``lacks``: the column that it does not have, where that is why."""

    line: int
    reason: str
    lacks: str | None = None


class MalformedError(ValueError):
    """A row from which what is wanted cannot be made; the message says why."""

    def at(self, line: int) -> BadRow:
        """Name the row."""
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
    """Return the value that a JSON text holds. Raises MalformedError where it is none, or has a key twice."""
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


def column(row: Row, name: str) -> Any:
    """A column's value. Raises MissingColumnError where the row has none."""
    if name not in row.values:
        raise MissingColumnError(name, row.values)
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
