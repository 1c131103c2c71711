"""Runs of earlier versions are read as if this version had made them; runs of newer ones are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dunwu.config.packaged import PACKAGED_MODELS
from dunwu.config.schema import Recipe
from dunwu.errors import UserError
from dunwu.models.export import DOCUMENTS
from dunwu.models.places import resolve
from dunwu.runs import AnswerRow, RunReader, RunWriter
from dunwu.runs.fingerprints import compute_fingerprint
from dunwu.runs.jsonl import append_numbers
from dunwu.runs.upgrade import REHASHED

OLD = Path(__file__).parents[2] / "data" / "run-of-version-1"
"""Written by the version before: two rollouts of two problems, measured before and after."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return shutil.copytree(OLD, tmp_path / "old")


def test_the_recipe_of_an_old_run_has_the_names_of_today() -> None:
    run = RunReader(OLD)
    assert run.manifest["schema_version"] == 2
    assert "schema" not in run.manifest
    stage = run.recipe["stages"]["zero"]
    assert stage["tasks"][0]["display_name"] == "sums"
    assert (stage["rollout"]["max_sequences"], stage["rollout"]["curriculum"]) == (4, 0.5)
    assert stage["rollout"]["length_schedule"] == {"4": 300}
    assert stage["reward"]["custom"][0]["name"] == "brief"
    assert stage["algorithm"]["logprob_difference_warning"] == 0.05
    Recipe.model_validate(run.recipe)


def test_the_answers_of_an_old_run_are_rows_of_today() -> None:
    stage = RunReader(OLD).stage("zero")
    right, cut = stage.read_rollouts(4)[:2]
    assert (right.task, right.finish, right.parts, right.policy_version) == (
        *("sums", "stop"),
        {"accuracy": 1.0, "format": 1.0},
        0,
    )
    assert (cut.finish, cut.status, cut.right, cut.logprob) == ("length", "truncated", False, -0.25)
    base, trained = stage.read_evaluations()
    assert [(row.group, row.index, row.right) for row in trained.rows] == [
        *((0, 0, True), (0, 1, False)),
        *((1, 0, True), (1, 1, False)),
    ]
    assert base.rows[0] == AnswerRow(
        problem_id="countdown-11",
        level=3,
        language="en",
        group=0,
        index=0,
        prompt="Make 11 of 1, 2 and 8.",
        completion="<think>Wait.</think> <answer>1 + 2 + 8</answer>",
        tokens=9,
        parts={"accuracy": 0.0},
        extracted=None,
        gold="1 + 2 + 8",
        reason="no answer",
        reflections=1,
    )
    table = stage.read_held_out_table()
    assert table["part.accuracy"].to_pylist() == [0.0] * 4 + [1.0, 0.0, 1.0, 0.0]
    assert table["finish"].null_count == 8
    assert stage.read_metrics_table()["reward"].to_pylist() == [1.0, 1.0]
    assert stage.read_costs()["training"].tokens == 40


def test_the_numbers_of_an_old_run_have_the_names_of_today() -> None:
    stage = RunReader(OLD).stage("zero")
    renamed = {"logprob_difference_max": 1e-05, "logprob_difference_mean": 1e-07, "curriculum": 1.0}
    kept = {"accuracy": 0.5, "entropy": 0.25, "length": 5.0, "reward": 1.0, "tokens": 20.0}
    assert stage.read_metrics() == [{"step": step} | kept | renamed for step in (4, 8)]
    assert stage.read_metrics_table().column_names == ["step", *sorted(kept | renamed)]
    assert stage.read_timings()[0] == {"step": 4, "logprobs": 0.5, "rollout": 1.0, "update": 1.5}
    checkpoint = stage.find_newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.state == {"position": 4, "rollout": 2, "curriculum": {"seen": [], "sources": []}}


def test_a_run_that_went_on_has_one_name_for_each_number(old: Path) -> None:
    stage = RunReader(old).stage("zero")
    append_numbers(stage.path / "metrics.jsonl", 12, {"curriculum": 3.0, "reward": 0.5})
    append_numbers(stage.path / "metrics.jsonl", 16, {"reward": 0.5})
    table = stage.read_metrics_table()
    assert table["curriculum"].to_pylist() == [1.0, 1.0, 3.0, None]
    assert table["logprob_difference_mean"].to_pylist() == [1e-07, 1e-07, None, None]
    rows = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    assert rows == stage.read_metrics()


def test_cards_written_anew_do_not_stop_a_run(old: Path) -> None:
    """They counted among a model's files once; its weights are what they were."""
    now = {compute_fingerprint(Path(resolve(name)), ignored=DOCUMENTS) for name in PACKAGED_MODELS}
    assert set(REHASHED.values()) == now
    manifest = json.loads((old / "manifest.json").read_text())
    before = dict(zip(PACKAGED_MODELS, REHASHED, strict=True)) | {"data.jsonl": "1234"}
    (old / "manifest.json").write_text(json.dumps(manifest | {"inputs": {"zero": before}}))
    inputs = RunReader(old).manifest["inputs"]["zero"]
    assert inputs == dict(zip(PACKAGED_MODELS, REHASHED.values(), strict=True)) | {"data.jsonl": "1234"}


def test_reading_an_old_run_changes_nothing(old: Path) -> None:
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    stage = RunReader(old).stage("zero")
    stage.read_evaluations()
    stage.read_rollout_table()
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


def test_an_old_run_that_goes_on_is_one_of_today(old: Path) -> None:
    recipe = Recipe.model_validate(RunReader(old).recipe).model_dump(mode="json", by_alias=True)
    recipe["stages"]["zero"]["steps"] = 12
    with RunWriter.resume(old, recipe) as run:
        assert run.stages == {"zero": "running"}
        stage = run.stage("zero")
        checkpoint = stage.find_newest_checkpoint()
        assert checkpoint is not None
        assert checkpoint.step == 8
    manifest = json.loads((old / "manifest.json").read_text())
    assert manifest == {"schema_version": 2, "seed": 1, "versions": {"dunwu": "0.1.0"}, "stages": {"zero": "running"}}
    assert "max_sequences" in json.loads((old / "recipe.json").read_text())["stages"]["zero"]["rollout"]


def test_who_resumes_a_run_of_today_writes_no_manifest(old: Path) -> None:
    recipe = Recipe.model_validate(RunReader(old).recipe).model_dump(mode="json", by_alias=True)
    RunWriter.resume(old, recipe).close()
    written = (old / "manifest.json").stat().st_mtime_ns
    RunWriter.resume(old, recipe).close()
    assert (old / "manifest.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("make", [RunReader, lambda directory: RunWriter.resume(directory, {})])
def test_a_run_of_a_newer_version_is_refused(old: Path, make: type[RunReader]) -> None:
    path = old / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 3}))
    with pytest.raises(UserError) as caught:
        make(old)
    assert str(caught.value) == (
        f"{path}: schema_version: is 3, and this version of Dunwu reads up to 2: install the one that made this run"
    )
