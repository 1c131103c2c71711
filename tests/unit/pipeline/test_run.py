"""A run over several processes, of which the first ones are stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from dunwu.commands.run import open_run
from dunwu.config.loader import load_recipe
from dunwu.errors import Interrupted
from dunwu.monitoring.progress import Silent
from dunwu.pipeline import run
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.interrupts import StopSignal

Process = Callable[[], None]

RECIPE = """
name = "small"
[stages.base]
kind = "pretrain"
corpus = "countdown-traces"
tokens = 1000
transformer = { hidden_size = 128, layers = 4, heads = 4, kv_heads = 2, intermediate_size = 384 }
"""


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """A process that runs the recipe in the same directory as those before it."""
    file = tmp_path / "recipe.toml"
    file.write_text(RECIPE)
    recipe = load_recipe(file)

    def work() -> None:
        out = tmp_path / "out"
        with StopSignal() as stop, open_run(recipe, RECIPE, out, (out / "manifest.json").exists()) as opened:
            stop.record = opened.record_end
            run.run_recipe(recipe, opened, stop, Silent(), file=file)

    return work


def test_the_summary_counts_the_seconds_of_every_process(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(0.0, 10.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    stops = iter([True, True, False])

    def stage(_: object, context: StageContext) -> None:
        if next(stops):
            raise Interrupted("asked to stop")
        context.store.finish()

    monkeypatch.setattr(run, "kind_of", lambda _: SimpleNamespace(run=stage, makes="results"))
    for _ in range(2):
        with pytest.raises(Interrupted):
            process()
    process()
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["seconds"] == 30.0


def test_a_stop_that_is_overdue_is_kept_in_the_run(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []

    def stage(_: object, context: StageContext, *__: object) -> None:
        context.stop.record(Interrupted("too late"))
        kept.append(json.loads((tmp_path / "out" / "ended.json").read_text())["why"])
        raise Interrupted("asked to stop")

    monkeypatch.setattr(run, "kind_of", lambda _: SimpleNamespace(run=stage, makes="policy"))
    with pytest.raises(Interrupted):
        process()
    assert kept == ["too late"]
