"""Where a run stands: the time that is left, its speed, its machine, in numbers that can be reckoned by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.observatory.making import STAGE, begin, evaluate

from dunwu.observatory.standing import facts, pace, progress
from dunwu.runs import BASE, TRAINED, Run, Spent, StageDirectory


def rollouts(stage: StageDirectory, steps: list[int], seconds: float = 10.0, length: float = 50.0) -> None:
    """A rollout at each step: 6 of 10 seconds writing 1,200 tokens."""
    for step in steps:
        timings = {"rollout": 0.6 * seconds, "update": 0.4 * seconds}
        stage.append(step, {"tokens": 1200.0, "length": length}, timings)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    found = begin(tmp_path)
    found.recipe["stages"][STAGE]["evaluation"]["every"] = 48
    return found


def test_the_time_left_counts_rollouts_and_the_evaluations_to_come(run: Run) -> None:
    with run:
        stage = run.stage(STAGE)
        assert pace(run, stage) is None
        evaluate(stage, BASE, "countdown", 0.0, 2, 1)
        stage.spend(0, {"evaluation": Spent(30.0, 100, 1.0)})
        rollouts(stage, [16, 32])
        found = pace(run, stage)
        assert found is not None
        assert (found.seconds, found.tokens_per_second) == pytest.approx((10.0, 200.0))
        # 8 rollouts of 10 s; at the end an evaluation as long as the base's; those on the way are not known yet.
        assert found.left == pytest.approx(80 + 30)
        rollouts(stage, [48], length=100.0)
        evaluate(stage, "step-000048", "countdown", 0.5, 2, 1)
        stage.spend(48, {"evaluation": Spent(5.0, 100, 1.0)})
        found = pace(run, stage)
        assert found is not None
        # 7 rollouts; evaluations at 96 and 144; the last takes twice as long, as answers have become twice as long.
        assert found.left == pytest.approx(70 + 2 * 5 + 60)
        rollouts(stage, list(range(64, 161, 16)))
        evaluate(stage, TRAINED, "countdown", 1.0, 2, 1)
        found = pace(run, stage)
        assert found is not None
        assert found.left == pytest.approx(0.0)


def test_facts_tell_the_time_left_while_it_runs_and_the_machine_where_it_is_known(run: Run, tmp_path: Path) -> None:
    with run:
        rollouts(run.stage(STAGE), [16])
        machine = {"processor": "A Fast One", "cores": 2, "memory_gib": 8, "accelerators": ["NVIDIA H200"]}
        run.note("machine", machine)
        told = dict(facts(run))
        assert told["time left"] == "about 2 min of this stage", "nine rollouts of 10 s"
        assert told["speed"] == "200 tokens/s, 10 s a rollout"
        assert told["machine"] == "NVIDIA H200, A Fast One, 2 cores, 8 GiB"
        assert progress(run) == "Stage zero is running, step 16 of 160"
    told = dict(facts(run))
    assert "time left" not in told
    assert "last written" in told
    assert progress(run).startswith("Stage zero stopped at step 16 of 160: its process ended without saying why")
