"""What the same rows are out of every form of file: texts, tables, and tables in which a column holds JSON or dates."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.published import GPQA, IFEVAL, write

from dunwu.config.schema import DataSpec, TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import build_task
from dunwu.tasks.datasets.conversations import read_examples
from dunwu.tasks.datasets.files import FileTask
from dunwu.tasks.datasets.readers import read_rows
from dunwu.tasks.datasets.rows import BadRow, Row
from dunwu.types import Problem

JSON = pa.json_()


def problems(path: Path | None, task: str = "file", **changes: Any) -> list[Problem]:
    """Every problem of a file, in its order."""
    spec = TaskSpec.model_validate({"task": task, "path": path, "held_out": 0.0, "max_bad_rows": 0.0} | changes)
    found = build_task(spec, 0)
    assert isinstance(found, FileTask)
    return list(found.training_problems)


def as_json(rows: list[dict[str, Any]], *names: str) -> pa.Table:
    """A table in which these columns are of JSON, as ``datasets`` 5 writes columns of mixed types."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {
        name: pa.array([json.dumps(value) for value in values], JSON) if name in names else pa.array(values)
        for name, values in columns.items()
    }
    return pa.table(arrays)


def values(path: Path) -> list[dict[str, Any]]:
    """The values of every row; there may be no bad one."""
    found = []
    for row in read_rows(path):
        assert isinstance(row, Row), row
        found.append(row.values)
    return found


GOLDS: list[dict[str, Any]] = [
    {"q": "One?", "a": 5},
    {"q": "Two?", "a": "five"},
    {"q": "Three?", "a": "[1, 2]"},
    {"q": "Four?", "a": 2.5},
]


def test_golds_of_mixed_types_have_no_quotes(tmp_path: Path) -> None:
    pq.write_table(as_json(GOLDS, "a"), tmp_path / "a.parquet")
    fields = {"problem": "q", "answer": "a"}
    found = problems(tmp_path / "a.parquet", fields=fields)
    assert [problem.gold for problem in found] == ["5", "five", "[1, 2]", "2.5"]
    assert found == problems(write(tmp_path / "a.jsonl", GOLDS), fields=fields)


def test_a_text_that_looks_like_json_stays_one(tmp_path: Path) -> None:
    rows = [{"q": '{"x": 1}', "a": '"5"'}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == rows


CALLS: list[dict[str, Any]] = [
    {"call": "f", "args": [1, "1", [2.5, None]], "result": {"k": [1]}},
    {"call": "f", "args": [], "result": None},
    {"call": "g", "args": ["2024-01-05"], "result": "2024-01-05T10:00:00"},
]
PROGRAMS: list[dict[str, Any]] = [
    {"problem": "Calls.", "tests": CALLS},
    {"problem": "Lines.", "tests": [{"stdin": "1\n", "stdout": "2\n"}, CALLS[0]]},
]


def either(kind: pa.DataType) -> pa.DataType:
    """Tests of programs in one column: each has the fields of all; ``kind`` is that of JSON."""
    texts = [(name, pa.string()) for name in ("call", "stdin", "stdout")]
    return pa.list_(pa.struct([*texts, ("args", pa.list_(kind)), ("result", kind)]))


def stored(test: dict[str, Any]) -> dict[str, Any]:
    """A test with its JSON as text, as it is stored."""
    own = {"args": [json.dumps(one) for one in test["args"]]} if "args" in test else {}
    return {**test, **own} | ({"result": json.dumps(test["result"])} if test.get("result") is not None else {})


def test_tests_of_programs_with_values_of_mixed_types(tmp_path: Path) -> None:
    """Inside lists and structs, where the fields that a test lacks are null."""
    tests = [[stored(test) for test in row["tests"]] for row in PROGRAMS]
    column = pa.array(tests, either(pa.string())).cast(either(JSON))
    pq.write_table(pa.table({"problem": [row["problem"] for row in PROGRAMS], "tests": column}), tmp_path / "a.parquet")
    pq.write_table(as_json(PROGRAMS, "tests"), tmp_path / "b.parquet")
    fields = {"problem": "problem", "tests": "tests"}
    expected = problems(write(tmp_path / "a.jsonl", PROGRAMS), fields=fields, kind="code")
    assert [json.loads(test) for test in expected[0].tests] == CALLS
    for name in ("a.parquet", "b.parquet"):
        assert problems(tmp_path / name, fields=fields, kind="code") == expected


def test_kwargs_of_instructions(tmp_path: Path) -> None:
    rows = [known.row for known in IFEVAL]
    texts = [[json.dumps(one) for one in row["kwargs"]] for row in rows]
    kwargs = pa.array(texts, pa.list_(pa.string())).cast(pa.list_(JSON))
    plain = {name: [row[name] for row in rows] for name in ("key", "prompt", "instruction_id_list")}
    pq.write_table(pa.table({**plain, "kwargs": kwargs}), tmp_path / "a.parquet")
    pq.write_table(as_json(rows, "kwargs"), tmp_path / "b.parquet")
    expected = problems(write(tmp_path / "a.jsonl", rows), "ifeval")
    assert len(expected) == len(rows)
    assert problems(tmp_path / "a.parquet", "ifeval") == problems(tmp_path / "b.parquet", "ifeval") == expected


def test_datasets_writes_and_reads_what_a_line_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON lines of mixed types through ``datasets`` and back: as Parquet, as its folder, by name. It keeps no quotes
    around texts that are JSON themselves ("1" is 1), so there are none."""
    datasets = pytest.importorskip("datasets", reason="the extra 'data' is not installed")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    calls = [{"call": "f", "args": [1, "one", [2.5, None]], "result": {"k": [1]}}, *CALLS[1:]]
    rows = [
        {"q": "a", "a": 5, "tests": calls, "kwargs": [{"n": 1}, {}], "day": "2024-01-05"},
        {"q": "b", "a": "five", "tests": calls[:1], "kwargs": [{"k": ["x"]}], "day": "2024-02-29"},
    ]
    folder = tmp_path / "set"
    folder.mkdir()
    path = write(folder / "train.jsonl", rows)
    loaded = datasets.load_dataset("json", data_files=str(path), split="train")
    if not any(type(feature).__name__ == "Json" for feature in loaded.features.values()):
        pytest.skip("this version of datasets has no columns of JSON")
    loaded.to_parquet(str(tmp_path / "a.parquet"))
    loaded.save_to_disk(str(tmp_path / "saved"))
    assert values(tmp_path / "a.parquet") == values(tmp_path / "saved") == rows
    fields = {"problem": "q", "answer": "day"}
    found = problems(None, hub=str(folder), split="train", fields=fields)
    assert [problem.gold for problem in found] == ["2024-01-05", "2024-02-29"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.timestamp("s"), datetime(2024, 1, 5, tzinfo=UTC), "2024-01-05"),
        (pa.timestamp("ms"), datetime(2024, 1, 5, 10, 30, tzinfo=UTC), "2024-01-05T10:30:00"),
        (pa.timestamp("us", "UTC"), datetime(2024, 1, 5, 0, 0, tzinfo=UTC), "2024-01-05T00:00:00+00:00"),
        (pa.date32(), date(2024, 2, 29), "2024-02-29"),
        (pa.time32("s"), time(8, 40), "08:40:00"),
        (pa.decimal128(12, 2), Decimal("27.00"), 27),
        (pa.decimal128(38, 20), Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        (pa.uuid(), UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (pa.int8(), 5, 5),
        (pa.large_string(), "x", "x"),
        (pa.bool_(), True, True),
    ],
)
@pytest.mark.parametrize("around", ["", "list", "large list", "fixed list", "struct", "struct in list"])
def test_what_json_does_not_know_is_what_a_line_would_say(
    tmp_path: Path, kind: pa.DataType, value: Any, expected: Any, around: str
) -> None:
    shapes: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
        "": (lambda kind: kind, lambda value: value),
        "list": (pa.list_, lambda value: [value, None]),
        "large list": (pa.large_list, lambda value: [value]),
        "fixed list": (lambda kind: pa.list_(kind, 1), lambda value: [value]),
        "struct": (lambda kind: pa.struct([("x", kind), ("y", pa.int8())]), lambda value: {"x": value, "y": 1}),
        "struct in list": (lambda kind: pa.list_(pa.struct([("x", kind)])), lambda value: [{"x": value}, None]),
    }
    outer, inner = shapes[around]
    storage, stored = (pa.binary(16), value.bytes) if isinstance(value, UUID) else (kind, value)
    column = pa.array([inner(stored), None], outer(storage)).cast(outer(kind))
    pq.write_table(pa.table({"v": column}), tmp_path / "a.parquet")
    assert values(tmp_path / "a.parquet") == [{"v": inner(expected)}, {"v": None}]


def test_random_json_comes_back(tmp_path: Path) -> None:
    rng = random.Random(0)

    def anything(depth: int) -> Any:
        plain = [None, True, 10**30, -2.5, "", "5", "null", "2024-01-05", 'a"b\n', "五"]
        if depth == 0 or rng.random() < 0.4:
            return rng.choice(plain)
        few = range(rng.randrange(4))
        return [anything(depth - 1) for _ in few] if rng.random() < 0.5 else {str(n): anything(depth - 1) for n in few}

    rows = [{"v": anything(4), "n": number} for number in range(300)]
    pq.write_table(as_json(rows, "v"), tmp_path / "a.parquet", row_group_size=70)
    assert values(tmp_path / "a.parquet") == rows == values(write(tmp_path / "a.jsonl", rows))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "'v' is no JSON: Expecting property name enclosed in double quotes, column 2"),
        ('{"k": 1, "k": 2}', "'v' has the key 'k' twice"),
        ("[" * 50_000, "'v' is nested too deep"),
        ("9" * 5000, "'v' is no JSON: Exceeds the limit"),
    ],
)
def test_a_column_of_json_that_holds_none_makes_a_bad_row(tmp_path: Path, text: str, reason: str) -> None:
    storage = pa.array(["1", text, "2"])
    pq.write_table(pa.table({"v": pa.ExtensionArray.from_storage(JSON, storage)}), tmp_path / "a.parquet")
    one, bad, two = read_rows(tmp_path / "a.parquet")
    assert (one, two) == (Row(1, {"v": 1}), Row(3, {"v": 2}))
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.reason[: len(reason)]) == (2, reason)


# Texts


def csv_of(rows: list[dict[str, Any]], **form: Any) -> bytes:
    file = io.StringIO()
    table = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row), restval="", **form)
    table.writeheader()
    table.writerows(rows)
    return file.getvalue().encode()


def test_gpqa_as_it_is_published_is_csv(tmp_path: Path) -> None:
    rows = [{"Record ID": f"rec{number}", **known.row} for number, known in enumerate(GPQA)]
    rows[0]["Question"] = 'Two lines,\n"quoted", and\r\na comma: how much is 7 eV?'
    expected = problems(write(tmp_path / "a.jsonl", rows), "gpqa")
    path = tmp_path / "gpqa_diamond.csv"
    for content in (csv_of(rows), b"\xef\xbb\xbf" + csv_of(rows, quoting=csv.QUOTE_ALL, lineterminator="\n")):
        path.write_bytes(content)
        os.utime(path, ns=(0, len(content)))
        assert problems(path, "gpqa") == expected
        (tmp_path / "b.csv.gz").write_bytes(gzip.compress(content))
        assert values(tmp_path / "b.csv.gz") == values(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"q,a\n1,2\n\n3,4\n", [Row(2, {"q": "1", "a": "2"}), Row(4, {"q": "3", "a": "4"})]),
        (b"q,a\n1\n3,4", [BadRow(2, "has 1 fields, and the first line names 2"), Row(3, {"q": "3", "a": "4"})]),
        (b'q,a\n"x"y,2\n3,4\n', [BadRow(2, "is no CSV: ',' expected after '\"'"), Row(3, {"q": "3", "a": "4"})]),
        (b'q,a\n"open,2\n3,4\n', [BadRow(2, "is no CSV: unexpected end of data")]),
        (b'q,a\n"two\nlines",2\n3,4', [Row(2, {"q": "two\nlines", "a": "2"}), Row(4, {"q": "3", "a": "4"})]),
        (b",q\n0,1\n", [Row(2, {"": "0", "q": "1"})]),
        (b" q ,a\n1,\n", [Row(2, {"q": "1", "a": ""})]),
        (b"q,a\n", []),
        (b"", []),
    ],
)
def test_rows_of_csv(tmp_path: Path, content: bytes, found: list[Row | BadRow]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert list(read_rows(path)) == found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"q,q\n1,2\n", "its first line names the column 'q' twice"),
        (b",,\n1,2,3\n", "its first line names no column"),
        (b'"q"x,a\n1,2\n', "its first line is no CSV: "),
        (b"q,a\n1," + b"x" * 1100 + b"\n", "line 2 is longer than 1000 bytes"),
    ],
)
def test_csv_that_cannot_be_read(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=told) as error:
        list(read_rows(path, 1000))
    assert (error.value.file, error.value.field) == (str(path), "path")


def test_csv_that_is_no_text_is_told_by_its_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"q,a\n\xff,1\n\0,2\n")
    with pytest.raises(UserError, match=r"line 2: 'q' is no valid Unicode.*; line 3: 'q' contains NUL bytes"):
        problems(tmp_path / "a.csv", fields={"problem": "q", "answer": "a"})


def test_conversations_out_of_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,response\nTwo?,2\n", encoding="utf-8")
    (example,) = read_examples(DataSpec.model_validate({"path": tmp_path / "a.csv"}))
    assert [message.content for message in example.messages] == ["Two?", "2"]


def test_true_and_false_of_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,refuse\nBread?,False\nBomb?,TRUE\nGlass?,\n", encoding="utf-8")
    assert [(one.kind, one.gold) for one in problems(tmp_path / "a.csv", "safety")] == [
        ("refusal", "answer"),
        ("refusal", "refuse"),
        ("open", ""),
    ]


def test_one_json_array(tmp_path: Path) -> None:
    rows = [{"q": f"{number}?", "a": number} for number in range(5)]
    for name, content in (("a.json", json.dumps(rows, indent=2)), ("b.json", "\n " + json.dumps(rows))):
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert list(read_rows(tmp_path / name)) == [Row(number, row) for number, row in enumerate(rows, start=1)]
    (tmp_path / "c.json").write_text('[{"q": "x"}, 5]', encoding="utf-8")
    assert list(read_rows(tmp_path / "c.json")) == [Row(1, {"q": "x"}), BadRow(2, "is a JSON int, not an object")]
    (tmp_path / "d.json").write_text('[{"q": "x"}', encoding="utf-8")
    with pytest.raises(UserError, match="begins as one JSON array, and is no JSON: Expecting ',' delimiter"):
        list(read_rows(tmp_path / "d.json"))
    assert values(write(tmp_path / "e.json", rows)) == rows


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.csv", "a"])
def test_a_pipe_is_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match="path: is a pipe or a device: write it to a file first"):
        problems(tmp_path / name, fields={"problem": "q", "answer": "a"})


CMATH = {"grade": 1, "reasoning_step": 1, "num_digits": 1, "question": "3个苹果加2个是几个？", "golden": "5"}


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("cmath", CMATH),
        ("cmath", {"question": CMATH["question"], "answer": 5, "grade": 1}),
        ("aime", {"ID": "2024-I-1", "Problem": "How much?", "Answer": 5, "Solution": "Count."}),
        ("amc", {"question": "How much?", "answer": 5.0}),
        ("math", {"question": "How much?", "answer": "5", "level": 3, "type": "Algebra", "reasoning": "Count."}),
        ("aime", {"problem": "How much?", "answer": "5", "question": "not asked"}),
    ],
)
def test_published_columns_by_all_their_names(tmp_path: Path, task: str, row: dict[str, Any]) -> None:
    (problem,) = problems(write(tmp_path / "a.jsonl", [row]), task)
    question = row.get("problem") or row.get("question") or row["Problem"]
    assert (problem.messages[0].content, problem.gold) == (question, "5")
    assert problem.level == row.get("grade", row.get("level", 0))
    assert problem.subject == row.get("type", "")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.float32(), 3.14, 3.14),
        (pa.float32(), 0.1, 0.1),
        (pa.float32(), 1e20, 1e20),
        (pa.float32(), 16777215.0, 16777215.0),
        (pa.float32(), -27.0, -27.0),
        (pa.float16(), np.float16(3.14), 3.14),
        (pa.float16(), np.float16(2048), 2048.0),
        (pa.float64(), 3.140000104904175, 3.140000104904175),
    ],
)
def test_a_narrow_float_is_the_decimal_that_was_written(
    tmp_path: Path, kind: Any, value: float, expected: float
) -> None:
    kinds = {"a": kind, "b": pa.list_(kind), "c": pa.struct({"d": kind}), "e": pa.dictionary(pa.int8(), kind)}
    kinds = {name: one for name, one in kinds.items() if kind != pa.float16() or name != "e"}
    rows = {"a": value, "b": [value, None], "c": {"d": value}, "e": value}
    columns = {name: pa.array([rows[name]], kind if name == "e" else one) for name, one in kinds.items()}
    columns = {name: one.dictionary_encode() if name == "e" else one for name, one in columns.items()}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    wanted = {"a": expected, "b": [expected, None], "c": {"d": expected}, "e": expected}
    assert values(tmp_path / "a.parquet") == [{name: wanted[name] for name in columns}]
