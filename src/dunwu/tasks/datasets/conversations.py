"""Conversations in a file, one a row: to learn from, with two answers of which one is better, or with a verdict."""

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
from dunwu.tasks.datasets.readers import read_rows, report_bad_rows
from dunwu.tasks.datasets.rows import BadRow, MalformedError, Row, detect_language, get_column, get_text, to_text
from dunwu.tasks.datasets.thoughts import add_reasoning, refuse_unread
from dunwu.tasks.task import normalize_question
from dunwu.tasks.world import conversations as world
from dunwu.types import REASONING_FIELDS, Example, LabelledResponse, Message, Preference, Role

COLUMNS = (
    *("messages", "prompt", "response", "reasoning", "good", "chosen", "rejected", "judgements", "category"),
    "language",
)
Use = Literal["conversations", "pairs", "verdicts"]
FIRST_ROWS = 20
LARGEST_JUDGEMENT = 1e6
"""The largest difference between two answers that a judgement may state."""

T = TypeVar("T")


def read_examples(spec: DataSpec) -> tuple[Example, ...]:
    """Read every conversation of a file, in its order, or make those of a task; what was left out is logged.

    Raises:
        UserError: ``fields`` name something unknown; the file cannot be read or holds no conversation; more than a
            share ``max_bad_rows`` of its rows is malformed.
    """
    return world.make_examples(spec) if spec.task else _read(spec, _make_example)


def read_preferences(spec: DataSpec) -> tuple[tuple[Preference, float | None], ...]:
    """Read every pair, with how much better the one called chosen was judged on average; None where nobody judged.

    Raises:
        UserError: As for ``read_examples``.
    """
    if spec.task:
        return world.make_preferences(spec)
    return _read(spec, lambda row: (_make_preference(row), row.average_judgements()))


def check_first_rows(spec: DataSpec, use: Use) -> None:
    """Read the first rows of a file as a stage will that learns from them.

    Args:
        spec: The recipe's entry.
        use: What the stage reads it as.

    Raises:
        UserError: ``fields`` name something unknown; the file cannot be read; not one of these rows can be used.
    """
    if not spec.task:
        makers: dict[Use, Callable[[_ConversationRow], object]]
        makers = {"conversations": _make_example, "pairs": _make_preference, "verdicts": _make_labelled}
        _read(spec, makers[use], FIRST_ROWS)


def read_first_examples(spec: DataSpec) -> tuple[Example, ...]:
    """Read the conversations of a file's first rows.

    Raises:
        UserError: As for ``check_first_rows``.
    """
    return _read(spec, _make_example, FIRST_ROWS)


def check_examples(path: Path) -> None:
    """Refuse a file in which a row makes no conversation.

    Raises:
        UserError: It names the first such line.
    """
    for found in _iterate_made(path, {}, _make_example):
        if isinstance(found, BadRow):
            raise UserError(found.reason, file=path, field=f"line {found.line}")


def order_by_judgement(pair: Preference, ahead: float) -> Preference:
    """Return a pair with its better answer called chosen; ``ahead``: how much better the one called chosen is."""
    return pair if ahead > 0 else replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def read_labelled(spec: DataSpec) -> tuple[LabelledResponse, ...]:
    """Read every answer with its verdict.

    Raises:
        UserError: As for ``read_examples``.
    """
    return world.make_labelled(spec) if spec.task else _read(spec, _make_labelled)


def read_texts(spec: DataSpec) -> tuple[tuple[str, list[str]], ...]:
    """Read all texts of every row of a file, with the name that the records made of the row share.

    Raises:
        UserError: As for ``read_examples``.
    """
    return _read(spec, _list_texts)


def _list_texts(row: _ConversationRow) -> tuple[str, list[str]]:
    asked = row.read_prompt()
    answers = [row.get_text(name) for name in ("response", "chosen", "rejected") if row.has(name)]
    apart = [row.row.values.get(name) for name in row.reasoning]
    thoughts = [thought for thought in apart if isinstance(thought, str)]
    return row.name, [*(message.content for message in asked), *answers, *thoughts]


class _ConversationRow(NamedTuple):
    """A row of a file, its columns by the names that they have here."""

    row: Row
    fields: Mapping[str, str]
    source: str

    @property
    def name(self) -> str:
        """The name of what is made of the row."""
        return f"{self.source}-{self.row.line}"

    def has(self, name: str) -> bool:
        return self.fields.get(name, name) in self.row.values

    def get_value(self, name: str) -> Any:
        return get_column(self.row, self.fields.get(name, name))

    def get_text(self, name: str) -> str:
        return get_text(self.row, self.fields.get(name, name))

    def read_prompt(self) -> tuple[Message, ...]:
        """Read the messages, or the prompt as one."""
        if self.has("messages"):
            return tuple(map(_read_message, _read_list(self.get_value("messages"))))
        if self.has("prompt"):
            return (Message(role="user", content=self.get_text("prompt")),)
        found = ", ".join(map(repr, self.row.values)) or "none"
        raise MalformedError(f"no field {self.fields.get('messages', 'messages')!r} and no prompt; it has {found}")

    def describe(self, asked: tuple[Message, ...]) -> dict[str, Any]:
        """Return the fields that every record has."""
        question = next((message.content for message in reversed(asked) if message.role == "user"), "")
        return {
            "id": self.name,
            "category": self.get_text("category") if self.has("category") else self.source,
            "language": self.get_text("language") if self.has("language") else detect_language(question),
            "messages": asked,
        }

    def add_reasoning(self, answer: str) -> str:
        """Return the row's last answer, before it the reasoning that stands in a column of its own."""
        refuse_unread(answer, self.row.values, {*self.reasoning, *self.fields.values()})
        return add_reasoning(answer, self.row.values, self.reasoning)

    @property
    def reasoning(self) -> list[str]:
        """The columns that may hold an answer's reasoning.

        The recipe's, and all of the usual names but for those that it gives to something else.
        """
        others = {column for name, column in self.fields.items() if name != "reasoning"}
        names = dict.fromkeys((self.fields.get("reasoning", "reasoning"), *REASONING_FIELDS))
        return [name for name in names if name not in others]

    def average_judgements(self) -> float | None:
        """Average what people judged the difference to be; None where nobody judged."""
        if not self.has("judgements"):
            return None
        found = self.get_value("judgements")
        if not isinstance(found, list) or not found:
            raise MalformedError("the judgements are no list with entries")
        if not all(
            isinstance(one, int | float) and not isinstance(one, bool) and abs(one) <= LARGEST_JUDGEMENT
            for one in found
        ):
            raise MalformedError(f"the judgements {found!r:.60} are no numbers up to {LARGEST_JUDGEMENT:g}")
        return math.fsum(found) / len(found)


def _read(spec: DataSpec, make: Callable[[_ConversationRow], T], rows: int | None = None) -> tuple[T, ...]:
    assert spec.path is not None
    if unknown := sorted(spec.fields.keys() - set(COLUMNS)):
        text = f"no column is called {unknown[0]!r} here; there are {', '.join(COLUMNS)}"
        raise UserError(text, file=spec.path, field="fields")
    found: list[T] = []
    bad: list[BadRow] = []
    for made in islice(_iterate_made(spec.path, spec.fields, make), rows):
        if isinstance(made, BadRow):
            bad.append(made)
        else:
            found.append(made)
    if rows is None:
        report_bad_rows(spec.path, bad, len(found) + len(bad), spec.max_bad_rows)
    elif bad and not found:
        text = f"of the first {len(bad)} rows none can be used; line {bad[0].line}: {bad[0].reason}"
        raise UserError(text, file=spec.path, field="fields")
    if not found:
        raise UserError("holds no conversation", file=spec.path, field="path")
    return tuple(found)


def _iterate_made(path: Path, fields: Mapping[str, str], make: Callable[[_ConversationRow], T]) -> Iterator[T | BadRow]:
    """Yield for every row what is made of it, or why nothing is."""
    source = path.name.partition(".")[0]
    for row in read_rows(path):
        try:
            yield row if isinstance(row, BadRow) else make(_ConversationRow(row, fields, source))
        except MalformedError as error:
            yield error.locate(row.line)


def _make_example(row: _ConversationRow) -> Example:
    messages = row.read_prompt()
    if row.has("response"):
        messages = (*messages, Message(role="assistant", content=row.get_text("response")))
    *before, last = messages
    if last.role != "assistant" or not before:
        raise MalformedError("the assistant does not have the last word")
    return Example(**row.describe((*before, replace(last, content=row.add_reasoning(last.content)))))


def _make_preference(row: _ConversationRow) -> Preference:
    chosen, rejected = row.get_text("chosen"), row.get_text("rejected")
    if chosen == rejected:
        raise MalformedError("chosen and rejected are the same")
    asked = _read_question(row)
    return Preference(
        **row.describe(asked), question=normalize_question(asked[-1].content), chosen=chosen, rejected=rejected
    )


def _make_labelled(row: _ConversationRow) -> LabelledResponse:
    good = row.get_value("good")
    if not isinstance(good, bool):
        raise MalformedError(f"'good' is {good!r:.40}, not true or false")
    asked = _read_question(row)
    return LabelledResponse(
        **row.describe(asked),
        question=normalize_question(asked[-1].content),
        response=row.get_text("response"),
        good=good,
    )


def _read_question(row: _ConversationRow) -> tuple[Message, ...]:
    asked = row.read_prompt()
    if asked[-1].role != "user":
        raise MalformedError("the user does not have the last word")
    return asked


def _read_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if not isinstance(value, list) or not value:
        raise MalformedError("the messages are no list with entries")
    return value


def _read_message(value: Any) -> Message:
    if not isinstance(value, dict) or value.get("role") not in get_args(Role):
        raise MalformedError(f"{value!r:.60} is no message with a role ({', '.join(get_args(Role))}) and content")
    content = to_text(value.get("content"), "content")
    refuse_unread(content, value, REASONING_FIELDS)
    for name in REASONING_FIELDS:
        if value.get(name) and value["role"] != "assistant":
            raise MalformedError(f"{name!r} stands in a message of the {value['role']}")
    return Message(role=value["role"], content=add_reasoning(content, value))
