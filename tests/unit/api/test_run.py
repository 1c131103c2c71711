"""A run as an object: tables that hold what the files hold, and one line for what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.runs.making import STAGE, begin, scored

import dunwu
from dunwu.types import Estimate


@pytest.fixture
def run(tmp_path: Path) -> dunwu.Run:
    """A run of two rollouts that was measured once and has ended."""
    with begin(tmp_path / "run") as writer:
        stage = writer.stage(STAGE)
        for step in (1, 2):
            metrics = {"reward": 0.5 * step} | ({"late": 7.0} if step == 2 else {})
            stage.append(step, metrics, {"rollout": 1.0})
            stage.write_rollouts(step, [scored(3, step), scored(4, step)])
        stage.write_evaluation("base", "held", [], {"pass@1": Estimate(value=0.5, low=0.25, high=0.75)})
        results = {"base": {"pass@1": {"value": 0.5, "low": 0.25, "high": 0.75}}}
        writer.write_summary({"seed": 7, "seconds": 1.5, "results": results})
    return dunwu.Run(tmp_path / "run")


def test_the_summary_is_a_record(run: dunwu.Run) -> None:
    summary = run.summary
    assert summary is not None
    assert (summary.seed, summary.seconds) == (7, 1.5)
    assert summary.results["base"]["pass@1"] == Estimate(value=0.5, low=0.25, high=0.75)


def test_metrics_are_a_table_in_which_what_a_row_lacks_is_null(run: dunwu.Run) -> None:
    table = run.metrics()
    assert table["step"].to_pylist() == [1, 2]
    assert table["reward"].to_pylist() == [0.5, 1.0]
    assert table["late"].to_pylist() == [None, 7.0]


def test_answers_are_one_row_a_completion(run: dunwu.Run) -> None:
    table = run.answers()
    assert table.num_rows == 8
    assert table["part.accuracy"].to_pylist() == [1.0, 0.0] * 4
    assert table["part.format"].to_pylist() == [1.0, None] * 4
    assert run.answers(step=2)["step"].to_pylist() == [2] * 4


def test_what_happened_is_said_in_lines(run: dunwu.Run) -> None:
    first, *rest = run.describe().splitlines()
    assert first == "Too few rollouts to look for an aha moment: 2."
    assert rest == []
    rollout = run.directory / "stages" / STAGE / "rollouts" / "step-000002.parquet"
    assert rollout.is_file()
    rollout.write_bytes(b"torn")
    assert "step-000002.parquet" in run.describe().splitlines()[-1]


def test_results_have_their_intervals(run: dunwu.Run) -> None:
    assert run.results().to_pylist() == [
        {"checkpoint": "base", "set": "held", "quantity": "pass@1", "value": 0.5, "low": 0.25, "high": 0.75}
    ]


def test_what_is_not_there_is_said_in_one_line(run: dunwu.Run, tmp_path: Path) -> None:
    with pytest.raises(dunwu.UserError, match="no stage 'zerro'; there are zero; did you mean zero"):
        run.metrics("zerro")
    with pytest.raises(dunwu.UserError, match="no rollout of step 9; there are 1 to 2"):
        run.answers(step=9)
    with pytest.raises(dunwu.UserError, match="no stage has stored a model yet"):
        run.model()
    with pytest.raises(dunwu.UserError):
        dunwu.Run(tmp_path)


def test_a_notebook_shows_hostile_names_as_text(run: dunwu.Run) -> None:
    page = run._repr_html_()
    assert page.startswith("<div>")
    assert "<script" not in page
