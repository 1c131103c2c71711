"""Numbers for other people's trackers, and progress for logs."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console
from tests.unit.observatory.making import STAGE, begin, finished_run

from dunwu.analysis.run_description import describe_run
from dunwu.errors import UserError
from dunwu.monitoring import trackers as module
from dunwu.monitoring.console import Progress
from dunwu.monitoring.json_lines import JsonProgress, QuietProgress
from dunwu.monitoring.trackers import Trackers
from dunwu.runs import RunReader
from dunwu.types import Estimate

RESULTS = {"pass@1": Estimate(value=0.5, low=0.4, high=0.6)}


def tell_all(progress: Progress) -> None:
    """A short stage."""
    progress.pipeline(1, 2)
    progress.stage_started(STAGE, "from base", step=0)
    progress.evaluation_started("base", "held-out", 8)
    progress.rollout_progress(8, 8)
    progress.evaluation("base", "held-out", RESULTS)
    progress.row(4, 8, {"reward": 1.0, "accuracy": 0.5, "kl": float("nan")}, {"rollout": 2.0})
    progress.row(8, 8, {"reward": 2.0, "accuracy": 1.0}, {"rollout": 2.5})
    progress.evaluation("trained", "held-out", RESULTS)
    progress.message("a word")
    progress.stage_ended(STAGE)
    progress.close()


class Remembering:
    """A tracker that fails when it is told to."""

    def __init__(self, run: RunReader) -> None:
        self.told: list[tuple[str, int, dict[str, float]]] = []
        self.closed = False

    def numbers(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        if step == 8:
            raise OSError("no more room")
        self.told.append((stage, step, dict(values)))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def run(tmp_path: Path) -> RunReader:
    with begin(tmp_path):
        pass
    return RunReader(tmp_path)


def test_rows_and_evaluations_are_told_and_a_failing_tracker_is_left(
    run: RunReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Remembering] = []

    def make(found: RunReader) -> Remembering:
        made.append(Remembering(found))
        return made[-1]

    monkeypatch.setattr(module, "TRACKERS", {"json": make})
    lines: list[str] = []
    progress = Progress(Console(file=io.StringIO()))
    progress.trackers = Trackers(["json", "json"], run, lines.append)
    tell_all(progress)
    (tracker,) = made
    assert tracker.told == [
        (STAGE, 0, {"held-out/pass@1": 0.5}),
        (STAGE, 4, {"reward": 1.0, "accuracy": 0.5, "rollout": 2.0}),
    ]
    assert lines == ["json failed and gets no more numbers: OSError: no more room"]
    assert not tracker.closed


def test_unknown_and_missing_trackers_are_the_user_s_business(run: RunReader, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UserError, match="--track: no tracker is called 'mlflow'; there are tensorboard, wandb, trackio"
    ):
        Trackers(["mlflow"], run, print)
    monkeypatch.setattr(module, "TRACKERS", {"surely_not_installed": Remembering})
    with pytest.raises(UserError, match=r"pip install 'dunwu\[surely_not_installed\]'"):
        Trackers(["surely_not_installed"], run, print)


def test_tensorboard_reads_what_was_told(run: RunReader) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    for _ in range(2):  # a resumed run goes on in the same folder
        progress = QuietProgress(Console(file=io.StringIO()))
        progress.trackers = Trackers(["tensorboard"], run, print)
        tell_all(progress)
    found = EventAccumulator(str(run.directory / "trackers" / "tensorboard"))
    found.Reload()
    events = found.Tensors(f"{STAGE}/reward")
    assert {(event.step, float(make_ndarray(event.tensor_proto))) for event in events} == {(4, 1.0), (8, 2.0)}
    assert f"{STAGE}/kl" not in {event.step for event in events}


def test_wandb_offline_keeps_what_was_told(run: RunReader, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    progress = QuietProgress(Console(file=io.StringIO()))
    lines: list[str] = []
    progress.trackers = Trackers(["wandb"], run, lines.append)
    tell_all(progress)
    assert lines == []
    (kept,) = (run.directory / "trackers" / "wandb").glob("offline-run-*/*.wandb")
    content = kept.read_bytes()
    for told in (b"zero/reward", b"zero/held-out/pass@1", b"zero/step"):
        assert told in content


def test_trackio_keeps_what_was_told(run: RunReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    import sqlite3

    folder = tmp_path / "trackio"
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    monkeypatch.setattr("trackio.utils.TRACKIO_DIR", folder, raising=False)
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", folder, raising=False)
    progress = QuietProgress(Console(file=io.StringIO()))
    lines: list[str] = []
    progress.trackers = Trackers(["trackio"], run, lines.append)
    tell_all(progress)
    assert lines == []
    (database,) = folder.glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select step, metrics from metrics order by step").fetchall()
    found = {step: json.loads(metrics) for step, metrics in rows if "zero/reward" in str(metrics)}
    assert {step: metrics["zero/reward"] for step, metrics in found.items()} == {4: 1.0, 8: 2.0}


def test_quiet_says_stages_and_evaluations_and_no_rows() -> None:
    file = io.StringIO()
    tell_all(QuietProgress(Console(file=file, width=200)))
    text = file.getvalue()
    assert "[1/2] zero: from base" in text
    assert "trained on held-out: pass@1 50 %" in text
    assert "a word" in text
    assert "4/8" not in text
    assert "reward" not in text


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    file = io.StringIO()
    progress = JsonProgress(file)
    tell_all(progress)
    directory = finished_run(tmp_path, rollouts=1, problems=2, samples=1)
    progress.finished(RunReader(directory), directory / "report.html", 12.34)
    events = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "stage",
        "evaluating",
        "evaluation",
        "row",
        "row",
        "evaluation",
        "message",
        "stage_done",
        "finished",
    ]
    row = events[4]
    assert {name: row[name] for name in ("stage", "step", "of", "left_seconds", "reward", "accuracy")} == {
        "stage": STAGE,
        "step": 8,
        "of": 8,
        "left_seconds": None,
        "reward": 2.0,
        "accuracy": 1.0,
    }
    assert row["seconds"] == {"rollout": 2.5}
    assert events[2]["results"] == {"pass@1": {"value": 0.5, "low": 0.4, "high": 0.6}}
    assert events[-1]["seconds"] == 12.3
    assert events[-1]["summary"] == {"seed": 3, "seconds": 1.0, "results": {}}


def test_json_says_first_what_the_run_is(tmp_path: Path) -> None:
    file = io.StringIO()
    progress = JsonProgress(file)
    with begin(tmp_path) as run:
        run.note("planned_seconds", {STAGE: 100.0})
        progress.run_started(RunReader(tmp_path))
        told = json.loads(file.getvalue())
        assert (told["event"], told["what"]) == ("run", describe_run(run.recipe))
    assert told["planned_seconds"] == {STAGE: 100.0}
