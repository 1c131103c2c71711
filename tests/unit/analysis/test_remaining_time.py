"""The time left, worked out by hand: rollouts, evaluations, later stages; the same wherever it is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from tests.made_runs import PER_ROLLOUT, RL, STAGE, begin

from dunwu.analysis.remaining_time import TimeLeft, estimate_time_left
from dunwu.analysis.run_status import list_run_facts
from dunwu.monitoring.console import ConsoleProgress
from dunwu.monitoring.json_lines import JsonProgress
from dunwu.monitoring.progress import Progress
from dunwu.observatory.report.report import write_report
from dunwu.observatory.web.pages import show_overview
from dunwu.observatory.web.watched_runs import WatchedRuns
from dunwu.runs import Cost, RunReader, RunWriter, is_due

SETS = 2 * 500 * 16
"""Answers of the sets of ``made_runs.RL``."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunWriter]:
    with begin(tmp_path) as found:
        yield found


def rollout(run: RunWriter, number: int, seconds: float = 10.0, **metrics: float) -> None:
    """The row of a rollout, six tenths of whose seconds wrote 1,200 tokens."""
    timings = {"rollout": 0.6 * seconds, "update": 0.4 * seconds}
    run.stage(STAGE).append(number * PER_ROLLOUT, {"tokens": 1200.0, **metrics}, timings)


def seconds(run: RunWriter) -> float:
    found = estimate_time_left(RunReader(run.directory), STAGE)
    assert found is not None
    return found.seconds


def test_rollouts_and_evaluations_that_are_still_to_come_count(run: RunWriter) -> None:
    assert estimate_time_left(run, STAGE) is None
    run.stage(STAGE).append_costs(0, {"evaluation": Cost(30.0, 3_000, 1.0)})  # a hundredth of a second a token
    run.stage(STAGE).append_costs(0, {"evaluation": Cost(9.0, 300, 1.0)})  # a small one says little
    rollout(run, 1, length=50.0)
    rollout(run, 2, length=60.0)
    assert seconds(run) == pytest.approx(8 * 10 + SETS * 60 * 0.01)
    for number in range(3, 11):
        rollout(run, number, length=60.0)
    assert seconds(run) == pytest.approx(SETS * 60 * 0.01), "the last evaluation is left"


def test_before_the_first_evaluation_an_answer_takes_what_a_rollouts_do(run: RunWriter) -> None:
    rollout(run, 1, length=50.0, responses=20.0)
    assert seconds(run) == pytest.approx(9 * 10 + SETS * 10 / 20)


def test_an_evaluation_since_the_last_row_changes_nothing(run: RunWriter) -> None:
    stage = run.stage(STAGE)
    stage.append_costs(0, {"evaluation": Cost(30.0, 3_000, 1.0)})
    rollout(run, 1, length=50.0)
    stage.append_costs(PER_ROLLOUT, {"rollout": Cost(6.0, 1_200, 1.0)})
    before = seconds(run)
    stage.append_costs(0, {"evaluation": Cost(90.0, 4_000, 1.0)})
    assert seconds(run) == before, "the terminal has shown it, and watch says the same"
    rollout(run, 2, length=50.0)
    stage.append_costs(2 * PER_ROLLOUT, {"rollout": Cost(6.0, 1_200, 1.0)})
    assert seconds(run) == pytest.approx(8 * 10 + SETS * 50 * 90 / 4_000)


def test_the_pace_is_that_of_the_last_rollouts(run: RunWriter) -> None:
    run.recipe["stages"][STAGE]["evaluation"]["sets"] = []
    for number in range(1, 10):
        rollout(run, number, seconds=100.0 if number < 5 else 10.0)
    found = estimate_time_left(run, STAGE)
    assert found is not None
    assert found == pytest.approx((10.0, False))


@pytest.mark.parametrize(("every", "times"), [(16, 7), (40, 3), (1000, 0), (0, 0), (4, 7)])
def test_evaluations_on_the_way_count_where_they_are_due(run: RunWriter, every: int, times: int) -> None:
    run.recipe["stages"][STAGE]["evaluation"] |= {"every": every, "during_problems": 10, "during_samples": 2}
    run.stage(STAGE).append_costs(0, {"evaluation": Cost(1.0, 100, 1.0)})
    for number in (1, 2, 3):
        rollout(run, number, length=1.0)
    starts = range(3 * PER_ROLLOUT, RL.steps, PER_ROLLOUT)
    assert times == sum(bool(every) and is_due(start, every, PER_ROLLOUT) for start in starts)
    found = estimate_time_left(run, STAGE)
    assert found is not None
    assert found.seconds == pytest.approx(7 * 10 + (SETS + times * 20) * 0.01)


@pytest.mark.parametrize(
    ("planned", "expected"),
    [
        # A tenth took 10 s, so the whole takes a fifth of its plan; so do later stages.
        ({STAGE: 500.0, "taught": 100.0, "table": 50.0}, TimeLeft(90.0 + 30.0, False)),
        ({STAGE: 500.0, "taught": None, "table": 50.0}, TimeLeft(90.0 + 10.0, True)),
        ({STAGE: None, "taught": 100.0, "table": 50.0}, TimeLeft(90.0, True)),
        ({}, TimeLeft(90.0, True)),
    ],
    ids=["all known", "one is not", "this one is not", "a run of another version"],
)
def test_later_stages_take_their_plan_at_this_ones_pace(
    run: RunWriter, planned: dict[str, float | None], expected: TimeLeft
) -> None:
    run.recipe["stages"] |= {"taught": {"kind": "sft"}, "table": {"kind": "eval"}}
    run.recipe["stages"][STAGE]["evaluation"]["sets"] = []
    run.note("planned_seconds", planned)
    rollout(run, 1)
    found = estimate_time_left(run, STAGE)
    assert found is not None
    assert found == pytest.approx(expected)
    assert str(TimeLeft(600.0, True)) == ">10 min"


def test_a_stage_over_data_says_how_many_steps_it_has(run: RunWriter) -> None:
    run.recipe["stages"] = {"taught": {"kind": "sft"}}
    for step in (1, 2):
        run.stage("taught").append(step, {"loss": 1.0}, {"update": 3.0})
    assert estimate_time_left(run, "taught") is None
    run.note("steps", {"other": 7})
    run.note("steps", {"taught": 12})
    assert run.manifest["steps"] == {"other": 7, "taught": 12}
    found = estimate_time_left(run, "taught")
    assert found is not None
    assert found.seconds == pytest.approx(30.0)


def show(progress: Progress, number: int) -> None:
    """Tells of the newest row, as a stage does."""
    progress.log_step(number * PER_ROLLOUT, RL.steps, {"reward": 1.0}, {"rollout": 6.0, "update": 4.0})


def test_terminal_watch_and_report_say_the_same(run: RunWriter) -> None:
    stream, lines = io.StringIO(), io.StringIO()
    console = Console(file=stream, width=120, highlight=False)
    run.stage(STAGE).append_costs(0, {"evaluation": Cost(30.0, 30_000, 1.0)})
    listeners: list[Progress] = [ConsoleProgress(console), JsonProgress(lines)]
    for progress in listeners:
        progress.start_run(RunReader(run.directory))
        progress.start_stage(STAGE, "GRPO")
    for number, took in enumerate((10.0, 12.0, 17.0), start=1):
        rollout(run, number, seconds=took, length=40.0)
        for progress in listeners:
            show(progress, number)
    assert json.loads(lines.getvalue().splitlines()[-1])["left_seconds"] == 7 * 13 + SETS * 40 * 0.001
    assert stream.getvalue().splitlines()[-1].split()[-2:] == ["12", "min"]
    assert dict(list_run_facts(RunReader(run.directory)))["time left"] == "about 12 min"
    for html in (show_overview(WatchedRuns([run.directory]), 0), write_report(run.directory).read_text()):
        assert "<dt>time left</dt><dd>about 12 min</dd>" in html


def test_a_damaged_file_costs_the_terminal_its_number_alone(run: RunWriter) -> None:
    stream = io.StringIO()
    progress = ConsoleProgress(Console(file=stream, width=120, highlight=False))
    progress.start_run(RunReader(run.directory))
    progress.start_stage(STAGE, "GRPO")
    rollout(run, 1)
    (run.directory / "stages" / STAGE / "ledger.jsonl").write_text("torn\n")
    show(progress, 1)
    assert stream.getvalue().splitlines()[-1].split()[-1] == "-"
