"""Passages of ordinary text, of which the perplexity is measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path

from dunwu.config.schema import TextSet
from dunwu.errors import UserError, refuse_stream
from dunwu.tasks.datasets.readers import read_rows
from dunwu.tasks.datasets.rows import BadRow

PLAIN = (".txt", ".md")
"""Files of text alone; others have rows."""
COLUMN = "text"
LARGEST = 2**26
"""Bytes of a file of text alone: it stands in memory whole."""


def read_passages(spec: TextSet) -> list[str]:
    """Read the first passages of a text, without blanks around them.

    Args:
        spec: The recipe's.

    Raises:
        UserError: The file cannot be read, or has no passage.
    """
    path = spec.path or Path(str(files("dunwu").joinpath("assets", "english.txt")))
    found = _read_paragraphs(path) if path.suffix in PLAIN else _read_column(path)
    passages = list(islice((text.strip() for text in found if text.strip()), spec.passages))
    if not passages:
        raise UserError("has no passage of text", file=path, field="path")
    return passages


def _read_paragraphs(path: Path) -> Iterator[str]:
    """Yield what stands between empty lines."""
    refuse_stream(path, "path")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError("no such file", file=path, field="path") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path, field="path") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"is not UTF-8 text: line {line}", file=path, field="path") from None
    if len(content) > LARGEST:
        raise UserError(f"has more than {LARGEST} bytes: write a row a passage (.jsonl)", file=path, field="path")
    yield from re.split(r"\n[^\S\n]*\n", text.replace("\r\n", "\n"))


def _read_column(path: Path) -> Iterator[str]:
    """Yield the texts of a file with rows."""
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise UserError(f"line {row.line} {row.reason}", file=path, field="path")
        text = row.values.get(COLUMN)
        if not isinstance(text, str):
            raise UserError(f"line {row.line} has no column {COLUMN!r} that is a text", file=path, field="path")
        yield text
