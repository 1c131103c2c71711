"""Data sets: every form of file, malformed rows by line, the split and the walk, and the published sets read whole."""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.tasks.datasets.making import FIELDS, ROWS, lines, spec

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.tasks import build_task
from dunwu.tasks.datasets.files import FileTask
from dunwu.tasks.datasets.readers import LONGEST_LINE, read_rows
from dunwu.tasks.datasets.rows import BadRow, Row

DATA = Path(__file__).parents[5] / "shared" / "data"


def texts(task: FileTask) -> list[str]:
    return [task.get_problem(index).messages[0].content for index in range(task.size)]


def whole(path: Path, **changes: Any) -> dict[str, str]:
    """Question -> gold of everything in a file."""
    task = FileTask(spec(path, held_out=0.0) if not changes else spec(path, **{"held_out": 0.0} | changes), 0)
    return {p.messages[0].content: p.gold for p in map(task.get_problem, range(task.size))}


def test_every_form_gives_the_same_problems(tmp_path: Path) -> None:
    plain = lines(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n\n")))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "d.parquet")
    expected = {row["q"]: str(row["a"]) for row in ROWS}
    for name in ("a.jsonl", "b.jsonl.gz", "c.json.gz", "d.parquet"):
        assert whole(tmp_path / name) == expected, name


def test_a_datasets_folder(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the extra 'data' is not installed")
    table = datasets.Dataset.from_list(ROWS)
    table.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(str(tmp_path / "two"))
    assert whole(tmp_path / "one") == whole(tmp_path / "two" / "train") == {row["q"]: str(row["a"]) for row in ROWS}
    with pytest.raises(UserError, match="holds the splits train, test; name one of them"):
        FileTask(spec(tmp_path / "two"), 0)
    (tmp_path / "three").mkdir()
    with pytest.raises(UserError, match="is no folder saved by datasets"):
        FileTask(spec(tmp_path / "three"), 0)


def test_without_the_extra_a_datasets_folder_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"datasets is not installed: pip install 'dunwu\[data\]'"):
        FileTask(spec(tmp_path), 0)


BAD: list[tuple[Any, str]] = [
    (b'{"q": "cut off', "is no JSON: Unterminated string starting at, column 7"),
    (b'["q", "a"]', "is a JSON list, not an object"),
    ({"a": 1}, "no field 'q'; it has 'a'"),
    ({"q": "no answer"}, "no field 'a'; it has 'q'"),
    ({"q": " ", "a": 1}, "'q' is empty"),
    ({"q": "x", "a": ""}, "'a' is empty"),
    ({"q": "x", "a": None}, "'a' is NoneType None, not text or a number"),
    ({"q": "x", "a": True}, "'a' is bool True, not text or a number"),
    ({"q": ["x"], "a": 1}, "'q' is list ['x'], not text or a number"),
    (b'{"q": "x", "a": NaN}', "'a' is float nan, not text or a number"),
    (b'{"q": "x\0", "a": 1}', "contains NUL bytes"),
    (b'{"q": "x\\u0000", "a": 1}', "'q' contains NUL bytes"),
    (b'{"q": "x\\ud800", "a": 1}', "'q' is no valid Unicode: a lone surrogate"),
    (b'{"q": "\xff", "a": 1}', "is not UTF-8 text"),
    (b'{"q": "x", "a": ' + b"9" * 5000 + b"}", "is no JSON: Exceeds the limit"),
    (b'{"q": "x", "a": 1, "a": 2}', "has the key 'a' twice"),
    (b'{"q": "x", "a": 1, "more": {"k": 1, "k": 2}}', "has the key 'k' twice"),
    (b'{"a": 1, "q": "' + b"x" * 3_000_000 + b'"}', "is longer than 1048576 bytes"),
    (b"[" * 100_000, "is nested too deep"),
    ({"q": "What is 1 + 1?", "a": 3}, "the problem of line 2 with another answer"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason[:24] for _, reason in BAD])
def test_a_malformed_row_is_left_out_and_named_by_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, row: Any, reason: str
) -> None:
    path = lines(tmp_path / "a.jsonl", [*ROWS[:50], b"", row, *ROWS[50:]])
    with caplog.at_level(logging.WARNING, "dunwu"):
        assert len(whole(path)) == 100
        assert len(whole(path)) == 100
    assert len(caplog.messages) == 1, "logged once"
    assert f"{path}: left out 1 of 101 rows as malformed: line 52: {reason}" in caplog.messages[0]
    with pytest.raises(UserError) as error:
        whole(path, max_bad_rows=0.0)
    assert error.value.message.startswith("1 of 101 rows are malformed, more than 0 % of the rows: line 52: ")
    assert (error.value.file, error.value.field) == (str(path), "max_bad_rows")


@pytest.mark.parametrize("ending", [b"\n", b""])
def test_a_line_of_any_length_takes_little_memory(tmp_path: Path, ending: bytes) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ROWS[0]).encode() + b"\n" + b" " * 40_000_000 + ending, 1))
    tracemalloc.start()
    try:
        rows = list(read_rows(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == [Row(1, ROWS[0]), BadRow(2, "is longer than 1048576 bytes")]
    assert peak < 8_000_000


def test_a_line_of_the_longest_length_is_read(tmp_path: Path) -> None:
    head, tail = b'{"q": "', b'", "a": 1}'
    for longer in (0, 1):
        for ending in (b"", b"\n", b"\r\n"):
            filling = b"x" * (LONGEST_LINE + longer - len(head + tail + ending))
            path = tmp_path / "a.jsonl"
            path.write_bytes(head + filling + tail + ending)
            assert [isinstance(row, Row) for row in read_rows(path)] == [not longer]


def test_too_many_malformed_rows_show_the_first_three(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [*ROWS[:96], b"{", b"[", b"1", b"{}"])
    with pytest.raises(UserError, match=r"4 of 100 rows are malformed") as error:
        whole(path, max_bad_rows=0.03)
    shown = [f"line {number}: " in error.value.message for number in (97, 98, 99, 100)]
    assert shown == [True, True, True, False]
    assert len(whole(path, max_bad_rows=0.04)) == 96


def test_a_reason_and_the_path_are_told_once(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(UserError) as error:
        whole(path, fields={"problem": "question", "answer": "a"})
    message = "every row lacks the column: line 1: no field 'question'; it has 'q', 'a', 'hard'"
    assert str(error.value) == f"{path}: fields.problem: {message}", "nobody is sent to raise max_bad_rows"
    path = lines(tmp_path / "b.jsonl", [b"1", {"q": "x"}, b"2", {"q": "y"}, *ROWS])
    reasons = "line 1 and 1 more: is a JSON int, not an object; line 2 and 1 more: no field 'a'; it has 'q'"
    with pytest.raises(UserError, match=f"more than 1 % of the rows: {reasons}$"):
        whole(path)


def test_a_published_file_that_lacks_a_column_is_told_with_its_own_columns(tmp_path: Path) -> None:
    path = lines(tmp_path / "gsm8k.jsonl", [{"question": f"{n}?", "answer": f"#### {n}"} for n in range(3)])
    with pytest.raises(UserError) as error:
        FileTask(TaskSpec(task="math", path=path, held_out=1.0), 0)
    message = "every row lacks the column: line 1: no field 'level'; it has 'question', 'answer'"
    assert str(error.value) == f"{path}: path: {message}"


def test_rows_that_lack_different_columns_are_told_one_by_one(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"q": "1?"}, {"a": "1"}])
    with pytest.raises(UserError, match="max_bad_rows: 2 of 2 rows are malformed, more than 1 % of the rows: line 1"):
        whole(path)


def test_repeated_problems_count_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dunwu"):
        assert len(whole(lines(tmp_path / "a.jsonl", [*ROWS, *ROWS[:7]]))) == 100
    assert "left out 7 rows that repeat an earlier problem" in caplog.text


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"q": "x", "a": 1}\n' * 1000)[:-20])
    (tmp_path / "no.parquet").write_bytes(b"PAR1 nothing")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    for name, reason in {
        "absent.jsonl": "cannot be read: No such file",
        "cut.jsonl.gz": "cannot be read: Compressed file ended",
        "no.parquet": "cannot be read as Parquet",
        "a.xlsx": r"is none of .jsonl, .*, \.csv, \.csv\.gz, \.parquet",
    }.items():
        with pytest.raises(UserError, match=reason) as error:
            FileTask(spec(tmp_path / name), 0)
        assert (error.value.file, error.value.field) == (str(tmp_path / name), "path")
    with pytest.raises(UserError, match="path: the data set is empty"):
        FileTask(spec(lines(tmp_path / "empty.jsonl", [b"", b"  "])), 0)
    with pytest.raises(UserError, match="path: gsm8k is read from a file: say which"):
        build_task(TaskSpec(task="gsm8k"), 0)


def test_an_epoch_has_every_training_problem_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", ROWS)
    task, other = FileTask(spec(path, held_out=0.2), 1), FileTask(spec(path, held_out=0.2), 2)
    kept = {p.messages[0].content for p in task.get_held_out(100 - task.size)}
    first, second = texts(task), [task.get_problem(task.size + index).messages[0].content for index in range(task.size)]
    assert 5 < len(kept) < 40
    assert set(first) == set(second) == {row["q"] for row in ROWS} - kept
    assert len(set(first)) == len(first) == task.size
    assert first != second
    assert first != texts(other)
    assert first == texts(task), "back in the first epoch"
    assert task.get_held_out(3) == other.get_held_out(5)[:3]


def test_sides_do_not_depend_on_levels_order_or_file(tmp_path: Path) -> None:
    fields = FIELDS | {"level": "hard"}
    path = lines(tmp_path / "a.jsonl", ROWS)
    turned = lines(tmp_path / "b.jsonl", ROWS[::-1][:60])
    kept = {p.id for p in FileTask(spec(path, held_out=1.0, max_bad_rows=0.0), 0).get_held_out(100)}
    assert len(kept) == 100
    task = FileTask(spec(path, held_out=0.3), 0)
    kept = {p.id for p in task.get_held_out(100 - task.size)}
    for part in (spec(path, held_out=0.3, fields=fields, levels=(1,)), spec(turned, held_out=0.3)):
        train = FileTask(part, 9)
        assert not kept & {train.get_problem(index).id for index in range(train.size)}
    one = FileTask(spec(path, held_out=0.0, fields=fields, levels=(1,)), 0)
    assert one.size == 33
    assert {one.get_problem(index).level for index in range(33)} == {1}
    with pytest.raises(UserError, match="levels: no problem of these levels; the file has 0, 1, 2"):
        FileTask(spec(path, fields=fields, levels=(7,)), 0)


def test_twins_in_other_spacing_case_or_width_are_on_one_side(tmp_path: Path) -> None:
    rows = [{"q": f"What is {n} plus {n}", "a": str(2 * n)} for n in range(200)]
    twins = [{"q": f"what  is {n}\u3000PLUS {n}", "a": str(2 * n)} for n in range(200)]
    one, other = (
        FileTask(spec(lines(tmp_path / name, rows), held_out=0.3), 0)
        for name, rows in (("a.jsonl", rows), ("b.jsonl", twins))
    )
    assert 30 < 200 - one.size < 90
    kept = [{p.gold for p in task.get_held_out(200 - task.size)} for task in (one, other)]
    assert kept[0] == kept[1]


def test_a_file_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", ROWS)
    one, two = (build_task(spec(path, display_name=name), 0) for name in (None, "mine"))
    assert (one.name, two.name) == ("file", "mine")
    assert {(p.task, p.id.rpartition("-")[0]) for p in (two.get_problem(0), *two.get_held_out(3))} == {("mine", "mine")}
    assert [p.messages for p in one.get_held_out(5)] == [p.messages for p in two.get_held_out(5)]
    with pytest.raises(UserError, match="display_name: 'countdown' is the name of another task"):
        build_task(spec(path, display_name="countdown"), 0)


def test_nothing_left_and_too_few(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(UserError, match="held_out: every problem is held out"):
        FileTask(spec(path, held_out=1.0), 0).get_problem(0)
    with pytest.raises(UserError, match="held_out: 101 held-out problems wanted, the file has 100"):
        FileTask(spec(path, held_out=1.0), 0).get_held_out(101)


PUBLISHED = [
    ("gsm8k", "gsm8k_test", 1319, "en", {0}),
    ("gsm8k", "gsm8k_train", 7473, "en", {0}),
    ("math", "math500", 500, "en", {1, 2, 3, 4, 5}),
    ("aime", "aime24", 30, "en", {0}),
    ("amc", "amc23", 40, "en", {0}),
    ("cmath", "cmath", 600, "zh", {1, 2, 3, 4, 5, 6}),
]


@pytest.mark.parametrize(("task", "name", "count", "language", "levels"), PUBLISHED)
def test_published_data_sets_are_read_whole(task: str, name: str, count: int, language: str, levels: set[int]) -> None:
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    problems = build_task(TaskSpec(task=task, path=path, held_out=1.0, max_bad_rows=0.0), 0).get_held_out(count)
    assert len({problem.id for problem in problems}) == count
    assert {problem.language for problem in problems} == {language}
    assert {problem.level for problem in problems} == levels
    assert all(problem.kind == "math" and problem.gold.strip() == problem.gold for problem in problems)
    if task in ("gsm8k", "amc", "aime"):
        assert all(problem.gold.lstrip("-").isdigit() for problem in problems)
