"""A run killed anywhere and resumed leaves the files of a run that nobody disturbed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.integration.runs import exit_code, fingerprints, start, survive, write_recipe

CURRICULUM = ("stages.zero.rollout.curriculum=0.5", "stages.zero.rollout.curriculum_bounds=[0, 1]")
"""Half of the questions hang on what earlier ones came to."""


ADAPTER = ("stages.zero.adapter.rank=4",)


@pytest.mark.parametrize("overrides", [pytest.param(CURRICULUM, id="all-weights"), pytest.param(ADAPTER, id="adapter")])
@pytest.mark.parametrize(
    "kills", [pytest.param(4, id="4-kills"), pytest.param(30, id="30-kills", marks=pytest.mark.slow)]
)
def test_killed_and_resumed_equals_undisturbed(tmp_path: Path, kills: int, overrides: tuple[str, ...]) -> None:
    recipe = write_recipe(tmp_path)
    resumed = fingerprints(survive(recipe, tmp_path, kills, seed=kills, overrides=overrides))
    straight = fingerprints(tmp_path / "timed")
    assert any(name.endswith("model.safetensors") for name in straight)
    assert resumed == straight


def test_sigterm_saves_and_exits_with_3(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    out = tmp_path / "run"
    process = start(recipe, out, overrides=("stages.zero.steps=2000", "stages.zero.checkpoint.every=2000"))
    metrics = out / "stages" / "zero" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 2:
        assert process.is_alive(), "the run ended before its second rollout"
        process.join(timeout=0.05)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    process.join(timeout=10)
    assert exit_code(process) == 3
    saved = [path.name for path in (out / "stages" / "zero" / "checkpoints").iterdir()]
    lines = metrics.read_bytes().count(b"\n")
    assert saved == [f"step-{2 * lines:06d}"], "everything that was measured is in the checkpoint"
