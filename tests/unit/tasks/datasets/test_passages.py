"""Passages of text: paragraphs of a file, or a column of its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dunwu.config.schema import TextSet
from dunwu.errors import UserError
from dunwu.tasks.datasets.passages import read_passages


def read(path: Path, passages: int = 500) -> list[str]:
    return read_passages(TextSet(name="text", path=path, passages=passages))


def test_paragraphs_stand_between_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"\xef\xbb\xbfOne line,\r\nand another.\r\n \t\r\n\r\n  Two.\n\n\nThree.\n")
    assert read(file) == ["One line,\nand another.", "Two.", "Three."]
    assert read(file, passages=2) == ["One line,\nand another.", "Two."]


def test_rows_have_a_column_of_text(tmp_path: Path) -> None:
    file = tmp_path / "text.jsonl"
    file.write_text(
        "".join(json.dumps({"text": text, "id": 1}) + "\n" for text in (" One. ", "", "Two.\n\nStill two."))
    )
    assert read(file) == ["One.", "Two.\n\nStill two."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "no such file"),
        ("empty.txt", b" \n\n", "has no passage of text"),
        ("latin.txt", b"one\n\ncaf\xe9", "is not UTF-8 text: line 3"),
        ("rows.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "line 2 has no column 'text' that is a text"),
        ("rows.jsonl", b'{"text": 3}\n', "line 1 has no column 'text' that is a text"),
        ("rows.jsonl", b'{"text": "a"}\n{"tex\n', "line 2 "),
        ("text.pdf", b"%PDF", "is none of"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read(tmp_path / name)
    assert raised.value.field == "path"
    assert raised.value.file == str(tmp_path / name)


def test_english_prose_comes_with_the_package() -> None:
    passages = read_passages(TextSet(name="english"))
    assert len(passages) == 51
    assert sum(len(passage.split()) for passage in passages) == 3044
    assert all(passage.isascii() and passage[-1] in ".!?" for passage in passages)
