"""A run that an earlier version began goes on, and ends as one that this version made from the start."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dunwu.config.packaged import NANO_BASE
from dunwu.runs import RunReader
from dunwu.runs.upgrade import REHASHED, RENAMED_METRICS, RENAMED_STATE, RENAMED_TIMINGS
from tests.integration.runs import exit_code, start, write_recipe

CURRICULUM = ("stages.zero.rollout.curriculum=0.5", "stages.zero.rollout.curriculum_bounds=[0, 1]")
RENAMED_FIELDS = {
    "rollout": {"curriculum": "similar", "curriculum_bounds": "similar_bounds", "max_sequences": "slots"},
    "algorithm": {
        "logprob_difference_stop": "sampler_gap_stop",
        "logprob_difference_warning": "sampler_gap_warning",
    },
}


def test_an_old_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recipe, straight, old = write_recipe(tmp_path), tmp_path / "straight", tmp_path / "old"
    run(recipe, straight)
    shutil.copytree(straight, old)
    make_old(old)
    assert '"similar"' in (old / "stages/zero/metrics.jsonl").read_text()
    assert RunReader(old).state.kind == "stopped"
    run(recipe, old)
    went_on, stage = RunReader(old).stage("zero"), RunReader(straight).stage("zero")
    assert went_on.read_metrics() == stage.read_metrics()
    assert [row["step"] for row in went_on.read_metrics()] == [2, 4, 6, 8]
    assert "curriculum" in went_on.read_metrics()[0]
    assert went_on.read_metrics_table().equals(stage.read_metrics_table())
    assert all("logprobs" in row for row in went_on.read_timings())
    assert went_on.read_evaluations() == stage.read_evaluations()
    assert (went_on.model / "model.safetensors").read_bytes() == (stage.model / "model.safetensors").read_bytes()


def run(recipe: Path, out: Path) -> None:
    """Begin a run, or let it go on, to its end."""
    process = start(recipe, out, CURRICULUM)
    process.join()
    assert exit_code(process) == 0


def make_old(out: Path) -> None:
    """Turn a finished run into what version 1 would have left of it, stopped before its last rollout."""
    stage = out / "stages" / "zero"
    for gone in (stage / "model", stage / "checkpoints/step-000008", stage / "evaluations/trained", out / "derived"):
        shutil.rmtree(gone, ignore_errors=True)
    (out / "summary.json").unlink()
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["schema_version"]
    (old_hash,) = (old for old, new in REHASHED.items() if new == manifest["inputs"]["zero"][NANO_BASE])
    manifest |= {"schema": 1, "stages": {"zero": "running"}}
    manifest["inputs"]["zero"][NANO_BASE] = old_hash
    (out / "manifest.json").write_text(json.dumps(manifest))
    recipe = json.loads((out / "recipe.json").read_text())
    for table, names in RENAMED_FIELDS.items():
        recipe["stages"]["zero"][table] = rename(recipe["stages"]["zero"][table], names)
    (out / "recipe.json").write_text(json.dumps(recipe))
    for name, renamed in (("metrics.jsonl", RENAMED_METRICS), ("timings.jsonl", RENAMED_TIMINGS)):
        lines = [json.loads(line) for line in (stage / name).read_text().splitlines()]
        old_lines = [json.dumps(rename(line, invert(renamed)), sort_keys=True) + "\n" for line in lines]
        (stage / name).write_text("".join(old_lines))
    for checkpoint in (stage / "checkpoints").iterdir():
        state, entries = checkpoint / "state.json", json.loads((checkpoint / "MANIFEST.json").read_text())
        state.write_text(json.dumps(rename(json.loads(state.read_text()), invert(RENAMED_STATE))))
        sha256 = hashlib.sha256(state.read_bytes()).hexdigest()
        entries["files"]["state.json"] = {"sha256": sha256, "size": state.stat().st_size}
        (checkpoint / "MANIFEST.json").write_text(json.dumps(entries))


def rename(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a mapping with other keys."""
    return {names.get(name, name): value for name, value in values.items()}


def invert(names: Mapping[str, str]) -> dict[str, str]:
    """Return new name -> old name."""
    return {new: old for old, new in names.items()}
