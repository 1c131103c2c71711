"""Conversations out of a file, one a row: to learn from, with two answers to prefer one of, or with a verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from dunwu.config.schema import DataSpec
from dunwu.errors import UserError
from dunwu.tasks.datasets.readers import leave_out, read_rows
from dunwu.tasks.datasets.rows import BadRow, MalformedError, Row, column, language_of, text_of, written
from dunwu.tasks.datasets.thoughts import refuse_unread, with_reasoning
from dunwu.tasks.task import side
from dunwu.tasks.world import data
from dunwu.types import REASONING_FIELDS, Example, Judged, Message, Preference, Role

COLUMNS = (
    *("messages", "prompt", "response", "reasoning", "good", "chosen", "rejected", "judgements", "category"),
    "language",
)
Use = Literal["conversations", "pairs", "verdicts"]
FIRST_ROWS = 20
LARGEST = 1e6
"""Of a judgement."""

T = TypeVar("T")


def read_examples(spec: DataSpec) -> tuple[Example, ...]:
    """Every conversation of the file, in its order, or of the task; what was left out is logged.

    Raises:
        UserError: ``fields`` name something unknown; the file cannot be read or holds no conversation; more than a
            share ``max_bad_rows`` of its rows is malformed.
    """
    return data.examples(spec) if spec.task else _read(spec, _example)


def read_preferences(spec: DataSpec) -> tuple[tuple[Preference, float | None], ...]:
    """Every pair, with how much better the one called chosen was judged on average; None where nobody judged. Raises as
    ``read_examples``."""
    if spec.task:
        return data.preferences(spec)
    return _read(spec, lambda row: (_preference(row), row.judgements()))


def look(spec: DataSpec, use: Use) -> None:
    """Reads the first rows of a file as a stage will that learns from them.

    Raises:
        UserError: ``fields`` name something unknown; the file cannot be read; not one of these rows can be used.
    """
    if not spec.task:
        makers: dict[Use, Callable[[_Named], object]]
        makers = {"conversations": _example, "pairs": _preference, "verdicts": _judged}
        _read(spec, makers[use], FIRST_ROWS)


def first_examples(spec: DataSpec) -> tuple[Example, ...]:
    """Read the conversations of a file's first rows. Raises as ``look``."""
    return _read(spec, _example, FIRST_ROWS)


def check(path: Path) -> None:
    """Raises UserError naming the first line of a file from which no conversation can be made."""
    for found in _made(path, {}, _example):
        if isinstance(found, BadRow):
            raise UserError(found.reason, file=path, field=f"line {found.line}")


def ordered(pair: Preference, ahead: float) -> Preference:
    """The pair, its better answer called chosen."""
    return pair if ahead > 0 else replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def read_judged(spec: DataSpec) -> tuple[Judged, ...]:
    """Every answer with its verdict. Raises as ``read_examples``."""
    return data.judged(spec) if spec.task else _read(spec, _judged)


def read_texts(spec: DataSpec) -> tuple[tuple[str, list[str]], ...]:
    """Of every row of a file its name, which the records made of it share, and all that it says. Raises as
    ``read_examples``."""
    return _read(spec, _texts)


def _texts(row: _Named) -> tuple[str, list[str]]:
    asked = row.asked()
    answers = [row.text(name) for name in ("response", "chosen", "rejected") if row.has(name)]
    apart = [row.row.values.get(name) for name in row.reasoning]
    thoughts = [thought for thought in apart if isinstance(thought, str)]
    return row.name, [*(message.content for message in asked), *answers, *thoughts]


class _Named(NamedTuple):
    """A row, its columns by the names that they have here."""

    row: Row
    fields: Mapping[str, str]
    source: str

    @property
    def name(self) -> str:
        """Of what is made of the row."""
        return f"{self.source}-{self.row.line}"

    def has(self, name: str) -> bool:
        return self.fields.get(name, name) in self.row.values

    def value(self, name: str) -> Any:
        return column(self.row, self.fields.get(name, name))

    def text(self, name: str) -> str:
        return text_of(self.row, self.fields.get(name, name))

    def asked(self) -> tuple[Message, ...]:
        """The messages, or the prompt as one."""
        if self.has("messages"):
            return tuple(map(_message, _list(self.value("messages"))))
        if self.has("prompt"):
            return (Message(role="user", content=self.text("prompt")),)
        found = ", ".join(map(repr, self.row.values)) or "none"
        raise MalformedError(f"no field {self.fields.get('messages', 'messages')!r} and no prompt; it has {found}")

    def about(self, asked: tuple[Message, ...]) -> dict[str, Any]:
        """What every record has."""
        question = next((message.content for message in reversed(asked) if message.role == "user"), "")
        return {
            "id": self.name,
            "category": self.text("category") if self.has("category") else self.source,
            "language": self.text("language") if self.has("language") else language_of(question),
            "messages": asked,
        }

    def reasoned(self, answer: str) -> str:
        """The row's last answer, before it the reasoning that stands in a column of its own."""
        refuse_unread(answer, self.row.values, {*self.reasoning, *self.fields.values()})
        return with_reasoning(answer, self.row.values, self.reasoning)

    @property
    def reasoning(self) -> list[str]:
        """The columns that may hold an answer's reasoning: the recipe's, and all of the usual names but for those that
        it gives to something else."""
        others = {column for name, column in self.fields.items() if name != "reasoning"}
        names = dict.fromkeys((self.fields.get("reasoning", "reasoning"), *REASONING_FIELDS))
        return [name for name in names if name not in others]

    def judgements(self) -> float | None:
        """The mean of the differences; None where nobody judged."""
        if not self.has("judgements"):
            return None
        found = self.value("judgements")
        if not isinstance(found, list) or not found:
            raise MalformedError("the judgements are no list with entries")
        if not all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) <= LARGEST for one in found):
            raise MalformedError(f"the judgements {found!r:.60} are no numbers up to {LARGEST:g}")
        return math.fsum(found) / len(found)


def _read(spec: DataSpec, make: Callable[[_Named], T], rows: int | None = None) -> tuple[T, ...]:
    assert spec.path is not None
    if unknown := sorted(spec.fields.keys() - set(COLUMNS)):
        text = f"no column is called {unknown[0]!r} here; there are {', '.join(COLUMNS)}"
        raise UserError(text, file=spec.path, field="fields")
    found: list[T] = []
    bad: list[BadRow] = []
    for made in islice(_made(spec.path, spec.fields, make), rows):
        if isinstance(made, BadRow):
            bad.append(made)
        else:
            found.append(made)
    if rows is None:
        leave_out(spec.path, bad, len(found) + len(bad), spec.max_bad_rows)
    elif bad and not found:
        text = f"of the first {len(bad)} rows none can be used; line {bad[0].line}: {bad[0].reason}"
        raise UserError(text, file=spec.path, field="fields")
    if not found:
        raise UserError("holds no conversation", file=spec.path, field="path")
    return tuple(found)


def _made(path: Path, fields: Mapping[str, str], make: Callable[[_Named], T]) -> Iterator[T | BadRow]:
    """Of every row what is made of it, or why nothing is."""
    source = path.name.partition(".")[0]
    for row in read_rows(path):
        try:
            yield row if isinstance(row, BadRow) else make(_Named(row, fields, source))
        except MalformedError as error:
            yield error.at(row.line)


def _example(row: _Named) -> Example:
    messages = row.asked()
    if row.has("response"):
        messages = (*messages, Message(role="assistant", content=row.text("response")))
    *before, last = messages
    if last.role != "assistant" or not before:
        raise MalformedError("the assistant does not have the last word")
    return Example(**row.about((*before, replace(last, content=row.reasoned(last.content)))))


def _preference(row: _Named) -> Preference:
    chosen, rejected = row.text("chosen"), row.text("rejected")
    if chosen == rejected:
        raise MalformedError("chosen and rejected are the same")
    asked = _question(row)
    return Preference(**row.about(asked), question=side(asked[-1].content), chosen=chosen, rejected=rejected)


def _judged(row: _Named) -> Judged:
    good = row.value("good")
    if not isinstance(good, bool):
        raise MalformedError(f"'good' is {good!r:.40}, not true or false")
    asked = _question(row)
    return Judged(**row.about(asked), question=side(asked[-1].content), response=row.text("response"), good=good)


def _question(row: _Named) -> tuple[Message, ...]:
    asked = row.asked()
    if asked[-1].role != "user":
        raise MalformedError("the user does not have the last word")
    return asked


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, list) or not value:
        raise MalformedError("the messages are no list with entries")
    return value


def _message(value: Any) -> Message:
    if not isinstance(value, dict) or value.get("role") not in get_args(Role):
        raise MalformedError(f"{value!r:.60} is no message with a role ({', '.join(get_args(Role))}) and content")
    content = written(value.get("content"), "content")
    refuse_unread(content, value, REASONING_FIELDS)
    for name in REASONING_FIELDS:
        if value.get(name) and value["role"] != "assistant":
            raise MalformedError(f"{name!r} stands in a message of the {value['role']}")
    return Message(role=value["role"], content=with_reasoning(content, value))
