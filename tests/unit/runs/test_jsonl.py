"""Numbers line by line: rows and tables say the same, and what is damaged is named by both."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from dunwu.errors import UserError
from dunwu.runs.jsonl import append_numbers, read_numbers, read_numbers_table


def test_a_table_holds_what_the_rows_hold(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    append_numbers(path, 4, {"reward": 0.1 + 0.2, "kl": float("nan")})
    append_numbers(path, 8, {"reward": 1.0, "entropy": 2.0})
    path.write_bytes(path.read_bytes() + b'{"reward": 3.0, "st')
    table = read_numbers_table(path)
    assert table.schema == pa.schema(
        {"step": pa.int64(), "entropy": pa.float64(), "kl": pa.float64(), "reward": pa.float64()}
    )
    assert table.to_pydict() == {
        "step": [4, 8],
        "entropy": [None, 2.0],
        "kl": [None, None],
        "reward": [0.1 + 0.2, 1.0],
    }
    assert read_numbers(path) == [
        {name: value for name, value in row.items() if value is not None} for row in table.to_pylist()
    ]


@pytest.mark.parametrize("content", [None, b"", b'{"step": 1'])
def test_without_a_line_there_is_the_step_alone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "metrics.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert read_numbers_table(path).to_pydict() == {"step": []}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"nonsense", 'is not a JSON object with a "step": was it edited?'),
        (b"[1]", 'is not a JSON object with a "step": was it edited?'),
        (b'{"a": 1.0}', 'is not a JSON object with a "step": was it edited?'),
        (b'{"a": 1.0, "step": 1.5}', 'is not a JSON object with a "step": was it edited?'),
        (b'{"a": 1.0, "step": true}', 'is not a JSON object with a "step": was it edited?'),
        (b'{"a": "1.0", "step": 2}', "a is '1.0', no number: was it edited?"),
        (b'{"a": true, "step": 2}', "a is True, no number: was it edited?"),
        (b'{"a": [1.0], "step": 2}', "a is [1.0], no number: was it edited?"),
        (b'{"a": 1e999, "step": 2}', "a is inf, no number: was it edited?"),
        (b"\0\0", "holds NUL bytes: a crash of the machine or of its disk has taken what stood here"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"a": 1.0, "step": 1}\n' + line + b'\n{"a": 1.0, "step": 3}\n')
    for read in (read_numbers, read_numbers_table):
        with pytest.raises(UserError, match=f"^{re.escape(f'{path}: line 2: {message}')}$"):
            read(path)


def test_bytes_that_a_crash_took_from_the_end_are_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n\0\0')
    for read in (read_numbers, read_numbers_table):
        with pytest.raises(UserError, match="line 2: holds NUL bytes"):
            read(path)
