"""A run over several processes, of which the first ones are stopped."""

from __future__ import annotations

import json
import time
from itertools import count
from pathlib import Path

import pytest

from dunwu.config.loader import load_recipe
from dunwu.errors import Interrupted
from dunwu.pipeline import run
from dunwu.pipeline.context import StageContext

RECIPE = """
name = "small"
[stages.base]
kind = "pretrain"
corpus = "countdown-traces"
tokens = 1000
transformer = { hidden_size = 128, layers = 4, heads = 4, kv_heads = 2, intermediate_size = 384 }
"""


def test_the_summary_counts_the_seconds_of_every_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "recipe.toml")
    clock = count(0.0, 10.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    stops = iter([True, True, False])

    def stage(*_: object) -> None:
        if next(stops):
            raise Interrupted("asked to stop")

    monkeypatch.setattr(run, "_run_stage", stage)
    monkeypatch.setattr(run, "write_report", lambda out: out / "report.html")
    monkeypatch.setattr(run, "Progress", Quiet)
    for resumed in (False, True):
        with pytest.raises(Interrupted):
            run.run_recipe(recipe, tmp_path / "recipe.toml", tmp_path / "out", resumed)
    run.run_recipe(recipe, tmp_path / "recipe.toml", tmp_path / "out", True)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["seconds"] == 30.0


def test_a_stop_that_is_overdue_is_kept_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    kept: list[str] = []

    def stage(_: object, context: StageContext, *__: object) -> None:
        context.stop.record(Interrupted("too late"))
        kept.append(json.loads((tmp_path / "out" / "ended.json").read_text())["why"])
        raise Interrupted("asked to stop")

    monkeypatch.setattr(run, "_run_stage", stage)
    monkeypatch.setattr(run, "Progress", Quiet)
    with pytest.raises(Interrupted):
        run.run_recipe(load_recipe(tmp_path / "recipe.toml"), tmp_path / "recipe.toml", tmp_path / "out", False)
    assert kept == ["too late"]


class Quiet:
    """A progress that looks at no clock."""

    def close(self) -> None:
        """There is no bar."""

    def pipeline(self, *_: object) -> None:
        """Nothing to tell."""

    run_started = stage_ended = doing = message = pipeline

    def finished(self, *_: object) -> None:
        """Nothing to tell."""
