"""Facts are extracted by several processes, and beside a run that is being made."""

from __future__ import annotations

import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.made_runs import STAGE, begin, train

from dunwu.analysis import curves, extraction, facts_worker
from dunwu.analysis.extraction import extract_missing
from dunwu.analysis.facts_worker import extract_meanwhile, has_rollouts
from dunwu.analysis.reasoning.facts import FACTS_VERSION, extract_facts
from dunwu.observatory.report.report import make_report
from dunwu.runs import RunReader, StageReader


@pytest.fixture
def stage(tmp_path: Path) -> StageReader:
    with begin(tmp_path) as run:
        train(run.stage(STAGE), rollouts=6, questions=2)
    return RunReader(tmp_path).stage(STAGE)


def list_kept(stage: StageReader) -> list[int]:
    return [step for step in stage.list_rollout_steps() if stage.derived.read_table(step, FACTS_VERSION)]


def wait_for(stage: StageReader, tables: int) -> None:
    deadline = time.monotonic() + 600  # of a worker that is last in turn on a busy machine
    while len(list_kept(stage)) < tables:
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)


def test_helpers_extract_what_one_process_would(stage: StageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = stage.list_rollout_steps()
    expected = [stage.derived.make_table(step, FACTS_VERSION, extract_facts) for step in steps]
    folder = stage.path.parents[1] / "derived" / STAGE
    for file in folder.iterdir():
        file.unlink()
    torn = stage.path / "rollouts" / "step-000032.parquet"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:100])
    monkeypatch.setattr(extraction, "ENOUGH_BYTES", 1)
    monkeypatch.setattr(extraction, "usable_cores", lambda: 3)
    monkeypatch.setattr(extraction, "_extract", lambda *_: wait_for(stage, 5))  # the helpers do all
    extract_missing(stage, steps)
    assert list_kept(stage) == [step for step in steps if step != 32]
    assert [stage.derived.read_table(step, FACTS_VERSION) for step in steps if step != 32] == expected[:1] + expected[
        2:
    ]
    report = make_report(RunReader(stage.path.parents[1]))
    assert "step-000032.parquet" in report.stages[0].unreadable[0]


def test_a_few_rollouts_take_no_helper(stage: StageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "_start_helpers", None)
    monkeypatch.setattr(extraction, "usable_cores", lambda: 64)
    assert len(curves.read_rollouts(stage)[0]) == 6


def test_a_folder_that_cannot_be_written_takes_no_helper(stage: StageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "ENOUGH_BYTES", 1)
    monkeypatch.setattr(extraction, "usable_cores", lambda: 64)
    monkeypatch.setattr(extraction, "_start_helpers", None)
    (stage.path.parents[1] / "derived").write_text("in the way")
    assert len(curves.read_rollouts(stage)[0]) == 6


def test_a_run_without_rollouts_needs_no_worker(stage: StageReader, tmp_path: Path) -> None:
    assert has_rollouts(stage.path.parents[1])
    assert not has_rollouts(tmp_path / "none")
    for file in (stage.path / "rollouts").iterdir():
        file.unlink()
    assert not has_rollouts(stage.path.parents[1])


def test_a_worker_extracts_while_a_run_is_made(stage: StageReader, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, started = stage.path.parents[1], list[subprocess.Popen[bytes]]()
    start = facts_worker.start_worker

    def note(directories: list[Path], stderr: int) -> subprocess.Popen[bytes]:
        started.append(start(directories, stderr))
        return started[-1]

    monkeypatch.setattr(facts_worker, "start_worker", note)
    with extract_meanwhile(directory):
        assert not started, "not before PATIENCE_SECONDS"
    monkeypatch.setattr(facts_worker, "PATIENCE_SECONDS", 0.0)
    with extract_meanwhile(directory):
        wait_for(stage, 6)
    (worker,) = started
    assert worker.wait(600) == -signal.SIGKILL
