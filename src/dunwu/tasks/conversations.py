"""Conversations to learn from, out of a file: one a row."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, get_args

from dunwu.config.schema import DataSpec
from dunwu.errors import UserError
from dunwu.tasks.readers import BadRow, MalformedError, Row, column, language_of, read_rows, text_of, written
from dunwu.types import Example, Message, Role

COLUMNS = ("messages", "prompt", "response", "category", "language")
SHOWN = 3

log = logging.getLogger(__name__)


def read_examples(spec: DataSpec) -> tuple[Example, ...]:
    """Every conversation of the file, in its order; what was left out is logged.

    Raises:
        UserError: ``fields`` are not as they should be; the file cannot be read or holds no conversation; more than a
            share ``max_bad_rows`` of its rows is malformed.
    """
    _check(spec.fields)
    found: list[Example] = []
    bad: list[str] = []
    for row in read_rows(spec.path):
        try:
            if isinstance(row, BadRow):
                raise MalformedError(row.reason)
            found.append(_example(row, spec.fields, spec.path.name.partition(".")[0]))
        except MalformedError as error:
            bad.append(f"{spec.path}:{row.line}: {error}")
    rows = len(found) + len(bad)
    if len(bad) > spec.max_bad_rows * rows:
        text = f"{len(bad)} of {rows} rows are malformed, more than max_bad_rows = {spec.max_bad_rows:g}"
        raise UserError(f"{text}: {'; '.join(bad[:SHOWN])}", file=spec.path, field="max_bad_rows")
    if not found:
        raise UserError("holds no conversation", file=spec.path, field="path")
    if bad:
        log.warning("%s: left out %d of %d rows as malformed: %s", spec.path, len(bad), rows, "; ".join(bad[:SHOWN]))
    return tuple(found)


def _check(fields: Mapping[str, str]) -> None:
    unknown = sorted(fields.keys() - set(COLUMNS))
    if unknown or not ("messages" in fields) ^ ({"prompt", "response"} <= fields.keys()):
        text = f"must say which column is messages, or which are prompt and response; known: {', '.join(COLUMNS)}"
        raise UserError(text, field="fields")


def _example(row: Row, fields: Mapping[str, str], source: str) -> Example:
    if "messages" in fields:
        messages = tuple(map(_message, _list(column(row, fields["messages"]))))
    else:
        asked, answered = text_of(row, fields["prompt"]), text_of(row, fields["response"])
        messages = (Message(role="user", content=asked), Message(role="assistant", content=answered))
    if messages[-1].role != "assistant" or len(messages) < 2:
        raise MalformedError("the assistant does not have the last word")
    return Example(
        id=f"{source}-{row.line}",
        category=text_of(row, fields["category"]) if "category" in fields else source,
        language=text_of(row, fields["language"]) if "language" in fields else language_of(messages[-2].content),
        messages=messages,
    )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise MalformedError("the messages are no list with entries")
    return value


def _message(value: Any) -> Message:
    if not isinstance(value, dict) or value.get("role") not in get_args(Role):
        raise MalformedError(f"{value!r:.60} is no message with a role ({', '.join(get_args(Role))}) and content")
    return Message(role=value["role"], content=written(value.get("content"), "content"))
