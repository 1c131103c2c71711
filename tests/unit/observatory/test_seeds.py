"""Several seeds as one story: where nothing was evaluated, training itself speaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.made_runs import begin

from dunwu.analysis.seeds import average_metric, compare_seeds
from dunwu.observatory.report.seeds_report import write_seeds_report
from dunwu.runs import RunReader


def trained(folder: Path, rewards: list[float]) -> RunReader:
    with begin(folder) as run:
        stage = run.stage("zero")
        for step, reward in enumerate(rewards, start=1):
            stage.append(16 * step, {"reward": reward, "accuracy": 0.5, "length": 40.0 + reward}, {})
    return RunReader(folder)


def test_without_an_evaluation_training_speaks(tmp_path: Path) -> None:
    runs = [trained(tmp_path / "a", [-1.0, 0.2, 0.6]), trained(tmp_path / "b", [-0.5, 0.3, 0.8])]
    (table,) = compare_seeds(runs)
    assert table.models == ["update 16", "update 48"]
    assert {row.label: row.values["update 48"].value for row in table.rows} == {
        "reward": pytest.approx(0.7),
        "accuracy %": 0.5,
        "length": pytest.approx(40.7),
    }
    reward = table.rows[0].values["update 16"]
    assert reward.low < reward.value == -0.75, "a reward may be below 0"
    assert "over 2 seeds" in table.note
    assert table.title in write_seeds_report(tmp_path, runs, [table]).read_text()


def test_of_one_update_there_is_one_column(tmp_path: Path) -> None:
    (table,) = compare_seeds([trained(tmp_path / name, [0.1]) for name in "ab"])
    assert table.models == ["update 16"]


def test_many_updates_are_averaged_in_each_run_first(tmp_path: Path) -> None:
    runs = [trained(tmp_path / "a", [float(step) for step in range(7)]), trained(tmp_path / "b", [1.0] * 7)]
    (curve,) = average_metric(runs, "reward", most=3)
    assert list(curve.steps) == [48, 96, 112]
    assert [estimate.value for estimate in curve.estimates] == [1.0, 2.5, 3.5]
    assert curve.estimates[0].low == curve.estimates[0].high == 1.0, "both runs have the mean 1"
