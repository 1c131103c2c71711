"""Answers as files and as tables: what was written comes back, also from files of schema version 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.runs.making import STAGE, begin, evaluation_row, scored

from dunwu.errors import UserError
from dunwu.runs import AnswerRow, StageWriter
from dunwu.runs.answer_tables import HELD_OUT, make_rows, read_answers, read_held_out, to_rows, write_answers
from dunwu.types import Estimate

COLUMNS = [field.name for field in fields(AnswerRow) if field.name != "parts"]
RESULT = {"pass@1": Estimate(value=1.0, low=0.5, high=1.0)}
VERSION_1 = [
    *("problem_id", "level", "language", "sample", "correct", "tokens", "reflections", "prompt", "gold", "text"),
    *("extracted", "subject", "reason"),
]
"""The columns of held-out answers then."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[StageWriter]:
    with begin(tmp_path / "run") as run:
        yield run.stage(STAGE)


def select(path: Path, columns: list[str]) -> Path:
    """Leave these columns of a file."""
    pq.write_table(pq.read_table(path, columns=columns), path)
    return path


def test_held_out_answers_come_back(tmp_path: Path) -> None:
    opened = replace(evaluation_row(2), problem_id="h2", group=1, parts={}, finish="length", reason="an open question")
    written = [replace(evaluation_row(0), subject="Algebra"), evaluation_row(1), opened]
    path = tmp_path / "a.parquet"
    write_answers(path, written, HELD_OUT)
    assert to_rows(read_held_out(path)) == written
    assert pq.read_schema(path).names[:13] == VERSION_1
    assert pq.read_table(path)["correct"].to_pylist() == [1, 1, None]


def test_held_out_answers_of_version_1_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [evaluation_row(0), replace(evaluation_row(0), problem_id="h2", group=1, parts={"accuracy": 0.5})]
    write_answers(path, rows, HELD_OUT)
    old = [
        replace(row, task="", finish=None, logprob=None, policy_version=None, value=None, parts={"accuracy": right})
        for row, right in zip(rows, (1.0, 0.0), strict=True)
    ]
    assert to_rows(read_held_out(select(path, VERSION_1))) == old
    assert to_rows(read_held_out(select(path, VERSION_1[:-2]))) == old  # before subject and reason were kept


@pytest.mark.parametrize("column", ["gold", "text", "correct", "extracted"])
def test_a_column_that_was_always_there_is_missed(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.parquet"
    write_answers(path, [evaluation_row(0)], HELD_OUT)
    with pytest.raises(UserError, match=f"lacks the column '{column}'"):
        read_held_out(select(path, [name for name in VERSION_1 if name != column]))


@pytest.mark.parametrize(
    ("column", "values", "field", "line"),
    [
        ("tokens", pa.array([None], pa.int64()), "column tokens, row 1", "holds nothing"),
        ("text", pa.array([1]), "column text", "holds values of type int64"),
        ("correct", pa.array(["yes"]), "column correct", "holds values of type string"),
        ("value", pa.array([float("inf")]), "column value, row 1", "holds no finite number"),
        ("part.format", pa.array([True]), "column part.format", "holds values of type bool"),
        ("sample", pa.array([2**64 - 1], pa.uint64()), "column sample", "holds numbers that are too large"),
    ],
)
def test_what_a_column_cannot_hold_is_named(
    tmp_path: Path, column: str, values: pa.Array, field: str, line: str
) -> None:
    path = tmp_path / "a.parquet"
    write_answers(path, [evaluation_row(0)], HELD_OUT)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    with pytest.raises(UserError) as caught:
        read_held_out(path)
    assert (caught.value.file, caught.value.field) == (str(path), field)
    assert caught.value.message.startswith(line)


def test_the_rollouts_of_a_stage_are_one_table(stage: StageWriter) -> None:
    assert stage.read_rollout_table().num_columns == 0
    stage.write_rollouts(2, [scored(5, 2)])
    stage.write_rollouts(4, [scored(6, 4), scored(7, 4)])
    table = stage.read_rollout_table()
    assert table.column_names == [*COLUMNS, "part.accuracy", "part.format"]
    assert table["step"].to_pylist() == [2, 2, 4, 4, 4, 4]
    assert table["part.format"].to_pylist() == [1.0, None] * 3
    assert to_rows(table) == stage.read_rollouts()
    assert stage.read_rollout_table(4).num_rows == 4
    few = stage.read_rollout_table(columns=("completion", "part.accuracy"))
    assert few.to_pydict() == {
        "completion": [row.completion for row in stage.read_rollouts()],
        "part.accuracy": [1.0, 0.0] * 3,
    }
    with pytest.raises(UserError, match="no rollout of step 3"):
        stage.read_rollout_table(3)


def test_the_held_out_answers_of_a_stage_are_one_table(stage: StageWriter) -> None:
    assert stage.read_held_out_table().num_columns == 0
    second = replace(evaluation_row(0), problem_id="h2", group=1)
    stage.write_evaluation("trained", "hard", [evaluation_row(0), second], RESULT)
    stage.write_evaluation("base", "hard", [replace(evaluation_row(0), parts={"accuracy": 0.0})], RESULT)
    table = stage.read_held_out_table()
    assert table.column_names == ["checkpoint", "set", *COLUMNS, "part.accuracy", "part.format"]
    assert table.select(["checkpoint", "set", "group", "part.accuracy", "part.format"]).to_pylist() == [
        {"checkpoint": "base", "set": "hard", "group": 0, "part.accuracy": 0.0, "part.format": None},
        {"checkpoint": "trained", "set": "hard", "group": 0, "part.accuracy": 1.0, "part.format": 0.5},
        {"checkpoint": "trained", "set": "hard", "group": 1, "part.accuracy": 1.0, "part.format": 0.5},
    ]
    few = stage.read_held_out_table("trained", columns=("group", "completion"))
    assert few.column_names == ["checkpoint", "set", "group", "completion"]
    assert few["group"].to_pylist() == [0, 1]


def test_training_and_held_out_answers_have_the_same_types(stage: StageWriter) -> None:
    stage.write_rollouts(2, [scored(5, 2)])
    stage.write_evaluation("base", "a", make_rows([scored(5, 0)]), RESULT)
    held_out = stage.read_held_out_table()
    assert stage.read_rollout_table().schema == held_out.drop_columns(["checkpoint", "set"]).schema


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"rubbish")
    with pytest.raises(UserError, match="is not a readable Parquet file"):
        read_answers(tmp_path / "a.parquet", HELD_OUT)
