"""What readers keep beside a run is taken for what is there now alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.runs.making import scored

from dunwu.runs import AnswerRow
from dunwu.runs.answer_tables import ROLLOUTS, make_rows, write_answers
from dunwu.runs.derived import Derived

MAKER = "numbers 1"
ROWS = make_rows([scored(5, 4)], step=4)[:1]


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    path = tmp_path / "stages" / "zero"
    (path / "rollouts").mkdir(parents=True)
    (path / "model").mkdir()
    return path


def written(path: Path, content: bytes, at: int) -> None:
    """Written at a time, in seconds."""
    path.write_bytes(content)
    os.utime(path, (at, at))


def test_a_table_is_that_of_the_rollouts_that_are_there(stage: Path) -> None:
    rollouts, derived = stage / "rollouts" / "step-000004.parquet", Derived(stage)
    written(rollouts, b"as it was", 100)
    table = pa.table({"n": [1, 2]})
    derived.write_table(4, table, derived.get_source(4, MAKER))
    assert derived.read_table(4, MAKER) == table
    assert derived.read_table(4, "numbers 2") is None, "something else would be made"
    written(rollouts, b"otherwise", 100)  # as many bytes, and the same time
    assert derived.read_table(4, MAKER) is None
    written(rollouts, b"as it was", 101)
    assert derived.read_table(4, MAKER) == table, "the content counts, not when it was written"
    copy = shutil.copytree(stage.parents[1], stage.parents[1].with_name("copy")) / "stages" / "zero"
    assert Derived(copy).read_table(4, MAKER) == table
    written(rollouts, b"as it was, and more", 100)
    assert derived.read_table(4, MAKER) is None
    rollouts.unlink()
    assert derived.read_table(4, MAKER) is None


def test_a_record_is_that_of_the_model_that_is_there(stage: Path) -> None:
    model, derived = stage / "model" / "model.safetensors", Derived(stage)
    written(model, b"weights", 100)
    derived.write_record("ablation", {"p": 0.5})
    written(model, b"weights", 101)
    found = derived.read_record("ablation")
    assert found is not None
    assert found["p"] == 0.5
    written(model, b"WEIGHTS", 101)
    assert derived.read_record("ablation") is None


def test_rollouts_that_are_written_again_while_they_are_read_leave_no_table(stage: Path) -> None:
    rollouts, derived = stage / "rollouts" / "step-000004.parquet", Derived(stage)
    write_answers(rollouts, ROWS, ROLLOUTS)

    def interrupted(rows: list[AnswerRow]) -> pa.Table:
        rollouts.write_bytes(b"of another policy")
        return pa.table({"n": [len(rows)]})

    assert derived.make_table(4, MAKER, interrupted).num_rows == 1
    write_answers(rollouts, ROWS, ROLLOUTS)
    assert derived.read_table(4, MAKER) is None


def test_what_was_wrong_with_rollouts_is_forgotten_when_they_are_others(stage: Path) -> None:
    rollouts, derived = stage / "rollouts" / "step-000004.parquet", Derived(stage)
    written(rollouts, b"torn", 100)
    derived.write_error(4, MAKER, "is torn")
    assert derived.read_error(4, MAKER) == "is torn"
    assert derived.read_error(8, MAKER) is None
    written(rollouts, b"mend", 100)
    assert derived.read_error(4, MAKER) is None
