"""Where a run stands: the time that is left, its speed, its machine, in numbers that can be reckoned by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.made_runs import STAGE, begin

from dunwu.analysis.run_status import describe_progress, list_run_facts, measure_pace
from dunwu.runs import RunWriter, StageWriter


def rollouts(stage: StageWriter, steps: list[int], seconds: float = 10.0) -> None:
    """A rollout at each step: 6 of 10 seconds writing 1,200 tokens."""
    for step in steps:
        timings = {"rollout": 0.6 * seconds, "update": 0.4 * seconds}
        stage.append(step, {"tokens": 1200.0}, timings)


@pytest.fixture
def run(tmp_path: Path) -> RunWriter:
    found = begin(tmp_path)
    found.recipe["stages"][STAGE]["evaluation"]["sets"] = []
    return found


def test_the_pace_is_that_of_the_last_rollouts(run: RunWriter) -> None:
    with run:
        stage = run.stage(STAGE)
        assert measure_pace(stage) is None
        rollouts(stage, [16, 32], seconds=100.0)
        assert measure_pace(stage) == pytest.approx((100.0, 20.0))
        rollouts(stage, [48, 64, 80, 96, 112])
        assert measure_pace(stage) == pytest.approx((10.0, 200.0))


def test_facts_tell_the_time_left_while_it_runs_and_the_machine_where_it_is_known(
    run: RunWriter, tmp_path: Path
) -> None:
    with run:
        rollouts(run.stage(STAGE), [16])
        machine = {"processor": "A Fast One", "cores": 2, "memory_gib": 8, "accelerators": ["NVIDIA H200"]}
        run.note("machine", machine)
        told = dict(list_run_facts(run))
        assert told["time left"] == "about 2 min", "nine rollouts of 10 s"
        assert told["speed"] == "200 tokens/s, 10 s a rollout"
        assert told["machine"] == "NVIDIA H200, A Fast One, 2 cores, 8 GiB"
        assert describe_progress(run) == "Stage zero is running, step 16 of 160"
    told = dict(list_run_facts(run))
    assert "time left" not in told
    assert "last written" in told
    assert describe_progress(run).startswith(
        "Stage zero stopped at step 16 of 160: its process ended without saying why"
    )
