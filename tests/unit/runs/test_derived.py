"""What readers keep beside a run is taken for what is there now alone."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from dunwu.runs.derived import Derived

MAKER = "numbers 1"


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
    derived.put(4, table, derived.source_of(4, MAKER))
    assert derived.table(4, MAKER) == table
    assert derived.table(4, "numbers 2") is None, "something else would be made"
    written(rollouts, b"otherwise", 101)  # as many bytes
    assert derived.table(4, MAKER) is None
    written(rollouts, b"as it was, and more", 100)
    assert derived.table(4, MAKER) is None
    rollouts.unlink()
    assert derived.table(4, MAKER) is None


def test_a_record_is_that_of_the_model_that_is_there(stage: Path) -> None:
    model, derived = stage / "model" / "model.safetensors", Derived(stage)
    written(model, b"weights", 100)
    derived.keep_record("ablation", {"p": 0.5})
    assert derived.record("ablation") == {"of": "model.safetensors 7:100000000000", "p": 0.5}
    written(model, b"WEIGHTS", 101)
    assert derived.record("ablation") is None


def test_what_was_wrong_with_rollouts_is_forgotten_when_they_are_others(stage: Path) -> None:
    rollouts, derived = stage / "rollouts" / "step-000004.parquet", Derived(stage)
    written(rollouts, b"torn", 100)
    derived.keep_trouble(4, MAKER, "is torn")
    assert derived.trouble(4, MAKER) == "is torn"
    assert derived.trouble(8, MAKER) is None
    written(rollouts, b"mend", 101)
    assert derived.trouble(4, MAKER) is None
