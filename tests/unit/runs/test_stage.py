"""What a stage writes is what is read back; rewinding; damaged checkpoints."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.unit.runs.making import (
    STAGE,
    begin,
    evaluate,
    evaluation_row,
    fingerprint,
    scored,
    write_weights,
)

from dunwu.errors import Fault, UserError
from dunwu.runs import StageWriter
from dunwu.types import Estimate


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[StageWriter]:
    with begin(tmp_path / "run") as run:
        yield run.stage(STAGE, keep=2)


def checkpoints(stage: StageWriter) -> list[str]:
    return sorted(path.name for path in (stage.path / "checkpoints").iterdir())


def test_lines_are_exact_sorted_and_hold_no_nan(stage: StageWriter) -> None:
    stage.append(
        3, {"z": 0.1 + 0.2, "a": float(np.float32(0.5)), "nan": float("nan"), "inf": -float("inf")}, {"seconds": 1}
    )
    assert (stage.path / "metrics.jsonl").read_text() == (
        '{"a": 0.5, "inf": null, "nan": null, "step": 3, "z": 0.30000000000000004}\n'
    )
    assert (stage.path / "timings.jsonl").read_text() == '{"seconds": 1.0, "step": 3}\n'
    assert stage.read_metrics() == [{"a": 0.5, "step": 3, "z": 0.1 + 0.2}]
    assert stage.read_timings() == [{"seconds": 1.0, "step": 3}]
    with pytest.raises(ValueError, match="'step' is taken"):
        stage.append(4, {"step": 4.0}, {})


def test_a_torn_last_line_is_not_read_and_another_bad_line_is_named(stage: StageWriter) -> None:
    stage.append(1, {"a": 1.0}, {})
    path = stage.path / "metrics.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"a": 2.0, "st')
    assert stage.read_metrics() == [{"a": 1.0, "step": 1}]
    stage.rewind(1)
    assert path.read_bytes() == whole
    path.write_bytes(whole + b"nonsense\n" + whole)
    with pytest.raises(UserError, match=r"metrics\.jsonl: line 2: is not a JSON object"):
        stage.read_metrics()


def test_rollouts_come_back_row_by_row(stage: StageWriter) -> None:
    stage.write_rollouts(2, [scored(5, 2), scored(6, 2)])
    stage.write_rollouts(12, [scored(7, 12)])
    assert stage.list_rollout_steps() == [2, 12]
    rows = stage.read_rollouts(2)
    assert [(row.step, row.group, row.index, row.problem_id) for row in rows] == [
        (2, 0, 0, "p5"),
        (2, 0, 1, "p5"),
        (2, 1, 0, "p6"),
        (2, 1, 1, "p6"),
    ]
    right, cut = rows[:2]
    assert (right.prompt, right.completion, right.gold, right.extracted) == (
        "say 5",
        "wait 2 <answer>5</answer>",
        "5",
        "5",
    )
    assert (right.value, right.parts, right.status, right.reason) == (
        2.0,
        {"accuracy": 1, "format": 1},
        "graded",
        "equal",
    )
    assert (right.tokens, right.logprob, right.policy_version, right.finish) == (25, -1.0, 1, "stop")
    assert (right.task, right.level, right.language) == ("count", 2, "en")
    assert (cut.parts, cut.extracted, cut.tokens, cut.logprob) == ({"accuracy": 0.0}, None, 0, 0.0)
    assert len(stage.read_rollouts()) == 6
    with pytest.raises(UserError, match="no rollout of step 3"):
        stage.read_rollouts(3)


def test_the_same_rollouts_are_the_same_bytes_in_zstd(stage: StageWriter) -> None:
    path = stage.path / "rollouts" / "step-000001.parquet"
    stage.write_rollouts(1, [scored(1, 1)])
    first = path.read_bytes()
    stage.write_rollouts(1, [scored(1, 1)])
    assert path.read_bytes() == first
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_rollout_file_that_is_none_is_named(stage: StageWriter) -> None:
    (stage.path / "rollouts" / "step-000001.parquet").write_bytes(b"rubbish")
    with pytest.raises(UserError, match=r"step-000001\.parquet: is not a readable Parquet file"):
        stage.read_rollouts(1)


def test_evaluations_come_back_in_the_order_of_training(stage: StageWriter) -> None:
    result = {"pass@1": Estimate(value=0.25, low=0.125, high=0.5)}
    for checkpoint, name in (
        ("trained", "b"),
        ("step-000010", "a"),
        ("step-000002", "a"),
        ("base", "b"),
        ("base", "a"),
    ):
        stage.write_evaluation(checkpoint, name, [evaluation_row(0), evaluation_row(1)], result)
    found = stage.read_evaluations()
    assert [(evaluation.checkpoint, evaluation.set) for evaluation in found] == [
        ("base", "a"),
        ("base", "b"),
        ("step-000002", "a"),
        ("step-000010", "a"),
        ("trained", "b"),
    ]
    assert found[0].results == result
    assert found[0].rows == (evaluation_row(0), evaluation_row(1))
    assert [evaluation.set for evaluation in stage.read_evaluations("base")] == ["a", "b"]


def test_an_evaluation_cut_short_is_not_read(stage: StageWriter) -> None:
    evaluate(stage, "base")
    (stage.path / "evaluations" / "base" / "held-out.json").unlink()
    assert stage.read_evaluations() == []


def test_a_checkpoint_carries_its_state_and_hashes_and_old_ones_go(stage: StageWriter) -> None:
    assert stage.find_newest_checkpoint() is None
    for step in (2, 4, 6):
        stage.save_checkpoint(step, write_weights(step), {"position": step})
    assert checkpoints(stage) == ["step-000004", "step-000006"]
    newest = stage.find_newest_checkpoint()
    assert newest is not None
    assert (newest.step, newest.state) == (6, {"position": 6})
    assert (newest.path / "trainer.pt").read_bytes() == b"optimizer" * 6
    manifest = json.loads((newest.path / "MANIFEST.json").read_text())
    assert sorted(manifest["files"]) == ["model/weights.bin", "state.json", "trainer.pt"]
    assert manifest["files"]["trainer.pt"]["size"] == 54


@pytest.mark.parametrize(
    ("file", "content", "damage"),
    [
        ("trainer.pt", b"optimizeR" * 4, "trainer.pt has another sha256"),
        ("trainer.pt", b"", "trainer.pt has 0 bytes instead of 36"),
        ("model/weights.bin", None, "model/weights.bin is missing"),
        ("MANIFEST.json", b"{}", "MANIFEST.json is missing or unreadable"),
        ("MANIFEST.json", b'{"schema": 9, "step": 4, "files": {}}', "MANIFEST.json has schema 9"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_by_name(
    stage: StageWriter, caplog: pytest.LogCaptureFixture, file: str, content: bytes | None, damage: str
) -> None:
    for step in (2, 4):
        stage.save_checkpoint(step, write_weights(step), {})
    path = stage.path / "checkpoints" / "step-000004" / file
    path.unlink() if content is None else path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        newest = stage.find_newest_checkpoint()
    assert newest is not None
    assert newest.step == 2
    assert f"step-000004 is damaged and passed over: {damage}" in caplog.text
    (stage.path / "checkpoints" / "step-000002" / "trainer.pt").unlink()
    with pytest.raises(Fault, match=r"no checkpoint is whole \(step-000004: .*remove this folder to begin") as raised:
        stage.find_newest_checkpoint()
    assert "\n" not in str(raised.value)


def test_a_failed_save_keeps_the_older_checkpoint(stage: StageWriter) -> None:
    stage.save_checkpoint(2, write_weights(2), {})

    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Fault, match="step-000004: cannot be written: No space left on device"):
        stage.save_checkpoint(4, full, {})
    assert checkpoints(stage) == ["step-000002"]


def test_rewind_leaves_exactly_what_the_checkpoint_stands_for(stage: StageWriter) -> None:
    def roll(step: int) -> None:
        stage.append(step, {"a": step / 3}, {"seconds": 0.1})
        stage.write_rollouts(step, [scored(1, step)])

    evaluate(stage, "base")
    for step in (1, 2):
        roll(step)
    evaluate(stage, "step-000002")
    stage.save_checkpoint(2, write_weights(2), {})
    expected = fingerprint(stage.path)
    for step in (3, 4):
        roll(step)
    evaluate(stage, "step-000004")
    evaluate(stage, "trained")
    stage.save_checkpoint(4, write_weights(4), {})
    stage.rewind(2)
    assert fingerprint(stage.path) == expected
    stage.rewind(0)
    assert sorted(fingerprint(stage.path)) == [
        "evaluations/base/held-out.json",
        "evaluations/base/held-out.parquet",
        "metrics.jsonl",
        "timings.jsonl",
    ]


def test_the_finished_model_replaces_a_half_told_one(stage: StageWriter) -> None:
    stage.finish(write_weights(1))
    stage.finish(write_weights(3))
    assert (stage.model / "trainer.pt").read_bytes() == b"optimizer" * 3
    assert sorted(path.name for path in stage.model.iterdir()) == ["model", "trainer.pt"]


def test_folders_and_files_of_others_are_left_alone(stage: StageWriter) -> None:
    evaluate(stage, "base")
    stage.append(1, {"a": 1.0}, {})
    stage.write_rollouts(1, [scored(1, 1)])
    stage.save_checkpoint(1, write_weights(1), {"step": 1})
    for folder in ("evaluations", "rollouts", "checkpoints"):
        (stage.path / folder / ".DS_Store").write_bytes(b"x")
        (stage.path / folder / "step-abc").mkdir()
        (stage.path / folder / "step-abc" / "held-out.json").write_bytes(b"x")
        (stage.path / folder / "step-abc.parquet").write_bytes(b"x")
    (stage.path / "evaluations" / "base" / "._held-out.json").write_bytes(b"x")
    stage.rewind(1)
    assert [evaluation.checkpoint for evaluation in stage.read_evaluations()] == ["base"]
    assert stage.list_rollout_steps() == [1]
    newest = stage.find_newest_checkpoint()
    assert newest is not None
    assert newest.step == 1
    assert (stage.path / "evaluations" / "step-abc").is_dir()


@pytest.mark.parametrize("content", ["{", "[]", '{"pass@1": {"value": 1.0}}', '{"pass@1": 3}'])
def test_an_evaluation_with_damaged_results_is_named(stage: StageWriter, content: str) -> None:
    evaluate(stage, "base")
    path = stage.path / "evaluations" / "base" / "held-out.json"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        stage.read_evaluations()
    assert str(caught.value).startswith(f"{path}: holds no results of an evaluation: ")


def test_an_evaluation_without_its_rows_or_without_a_column_is_named(stage: StageWriter) -> None:
    evaluate(stage, "base")
    path = stage.path / "evaluations" / "base" / "held-out.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["gold"]), path)
    with pytest.raises(UserError, match=r"held-out\.parquet: lacks the column 'gold'"):
        stage.read_evaluations()
    path.unlink()
    with pytest.raises(UserError, match=r"held-out\.parquet: is not a readable Parquet file"):
        stage.read_evaluations()
