"""Conversations out of files: which rows are, which are not, and what is said of those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dunwu.config.schema import DataSpec
from dunwu.errors import UserError
from dunwu.tasks.conversations import read_examples
from dunwu.types import Example, Message

GOOD = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]


def written(folder: Path, *rows: Any, **spec: Any) -> DataSpec:
    path = folder / "talk.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return DataSpec(path=path, **spec)


def test_messages_are_taken_as_they_are(tmp_path: Path) -> None:
    zh = [{"role": "system", "content": "Brief."}, {"role": "user", "content": "为什么？"}, GOOD[1]]
    first, second = read_examples(written(tmp_path, {"messages": GOOD}, {"messages": zh}))
    messages = (Message(role="user", content="Why?"), Message(role="assistant", content="So."))
    assert first == Example(id="talk-1", category="talk", language="en", messages=messages)
    assert (second.id, second.language, second.messages[0].role) == ("talk-2", "zh", "system")


def test_columns_of_one_s_own(tmp_path: Path) -> None:
    fields = {"prompt": "q", "response": "a", "category": "kind", "language": "lang"}
    (example,) = read_examples(written(tmp_path, {"q": "1+1?", "a": "2", "kind": "math", "lang": "en"}, fields=fields))
    assert [message.content for message in example.messages] == ["1+1?", "2"]
    assert (example.category, example.language) == ("math", "en")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": GOOD[:1]}, "the assistant does not have the last word"),
        ({"messages": GOOD[1:]}, "the assistant does not have the last word"),
        ({"messages": []}, "the messages are no list with entries"),
        ({"messages": "Why?"}, "the messages are no list with entries"),
        ({"messages": [{"role": "tool", "content": "x"}, *GOOD]}, "is no message with a role"),
        ({"messages": [{"role": "user", "content": None}, *GOOD]}, "'content' is NoneType None"),
        ({"messages": [GOOD[0], {"role": "assistant", "content": "  "}]}, "'content' is empty"),
        ({"text": "x"}, "no field 'messages'"),
    ],
)
def test_rows_that_are_no_conversation(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(UserError, match="max_bad_rows: 1 of 2 rows are malformed") as caught:
        read_examples(written(tmp_path, row, {"messages": GOOD}))
    assert f"talk.jsonl:1: {message}" in str(caught.value) or message in str(caught.value)
    (kept,) = read_examples(written(tmp_path, row, {"messages": GOOD}, max_bad_rows=0.5))
    assert kept.id == "talk-2"


@pytest.mark.parametrize(
    "fields", [{"prompt": "q"}, {"messages": "m", "prompt": "q", "response": "a"}, {"messages": "m", "answer": "a"}, {}]
)
def test_fields_that_say_too_little_or_too_much(tmp_path: Path, fields: dict[str, str]) -> None:
    with pytest.raises(UserError, match="fields: must say which column is messages, or which are prompt and response"):
        read_examples(written(tmp_path, {"messages": GOOD}, fields=fields))


def test_a_file_without_a_conversation(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="path: holds no conversation"):
        read_examples(written(tmp_path))
