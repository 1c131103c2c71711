"""Numbers for other people's trackers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from tests.made_runs import STAGE, begin
from tests.unit.monitoring.playing import play_stage

from dunwu.errors import UserError
from dunwu.monitoring import trackers as module
from dunwu.monitoring.trackers import Trackers
from dunwu.runs import RunReader


class FailingTracker:
    """Fails at step 8."""

    def __init__(self, run: RunReader) -> None:
        self.written: list[tuple[str, int, dict[str, float]]] = []
        self.closed = False

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        if step == 8:
            raise OSError("no more room")
        self.written.append((stage, step, dict(values)))

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
    made: list[FailingTracker] = []

    def make(found: RunReader) -> FailingTracker:
        made.append(FailingTracker(found))
        return made[-1]

    monkeypatch.setattr(module, "TRACKERS", {"json": make})
    lines: list[str] = []
    with closing(Trackers(["json", "json"], run, lines.append)) as progress:
        play_stage(progress)
    (tracker,) = made
    assert tracker.written == [
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
    monkeypatch.setattr(module, "TRACKERS", {"surely_not_installed": FailingTracker})
    with pytest.raises(UserError, match=r"pip install 'dunwu\[surely_not_installed\]'"):
        Trackers(["surely_not_installed"], run, print)


def test_tensorboard_reads_what_was_told(run: RunReader) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    for _ in range(2):  # a resumed run goes on in the same folder
        with closing(Trackers(["tensorboard"], run, print)) as progress:
            play_stage(progress)
    found = EventAccumulator(str(run.directory / "trackers" / "tensorboard"))
    found.Reload()
    events = found.Tensors(f"{STAGE}/reward")
    assert {(event.step, float(make_ndarray(event.tensor_proto))) for event in events} == {(4, 1.0), (8, 2.0)}
    assert f"{STAGE}/kl" not in {event.step for event in events}


def test_wandb_offline_keeps_what_was_told(run: RunReader, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    lines: list[str] = []
    with closing(Trackers(["wandb"], run, lines.append)) as progress:
        play_stage(progress)
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
    lines: list[str] = []
    with closing(Trackers(["trackio"], run, lines.append)) as progress:
        play_stage(progress)
    assert lines == []
    (database,) = folder.glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select step, metrics from metrics order by step").fetchall()
    found = {step: json.loads(metrics) for step, metrics in rows if "zero/reward" in str(metrics)}
    assert {step: metrics["zero/reward"] for step, metrics in found.items()} == {4: 1.0, 8: 2.0}
