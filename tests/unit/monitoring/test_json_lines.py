"""Progress for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

from tests.made_runs import STAGE, begin, finished_run
from tests.unit.monitoring.playing import play_stage

from dunwu.analysis.run_description import describe_run
from dunwu.monitoring.json_lines import JsonProgress
from dunwu.runs import RunReader


def test_json_is_one_object_a_line(tmp_path: Path) -> None:
    file = io.StringIO()
    progress = JsonProgress(file)
    play_stage(progress)
    directory = finished_run(tmp_path, rollouts=1, problems=2, samples=1)
    progress.finish_run(RunReader(directory), directory / "report.html", 12.34)
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
        progress.start_run(RunReader(tmp_path))
        event = json.loads(file.getvalue())
        assert (event["event"], event["what"]) == ("run", describe_run(run.recipe))
    assert event["planned_seconds"] == {STAGE: 100.0}
