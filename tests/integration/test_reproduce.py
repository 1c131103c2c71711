"""A recipe under several seeds: every run is whole, what they say is joined, and one that stopped goes on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dunwu.analysis.seeds import average_metric
from dunwu.cli import main
from dunwu.runs import RunReader

RECIPE = """
name = "twice"
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 4
reference_every = 0
prompt = { template = "nano", max_tokens = 64 }
rollout = { questions = 4, group_size = 4, max_new_tokens = 32 }
update = { minibatches = 2 }
checkpoint = { every = 2 }
model = { threads = 1 }
tasks = [{ task = "countdown" }]
[stages.table]
kind = "eval"
models = ["nano-base", "zero"]
max_new_tokens = 32
prompt = { template = "nano", max_tokens = 64 }
model = { threads = 1 }
sets = [{ name = "three", problems = 4, samples = 2, task = { task = "countdown" } }]
"""


def reproduce(folder: Path, *arguments: str) -> Result:
    (folder / "twice.toml").write_text(RECIPE)
    return CliRunner().invoke(
        main, ["reproduce", str(folder / "twice.toml"), "--out", str(folder / "runs"), *arguments]
    )


def mean_format(runs: list[RunReader], model: str) -> float:
    found = [e.results["format"].value for run in runs for e in run.stage("table").read_evaluations(model)]
    return 100 * sum(found) / len(found)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("seeds")
    return folder, reproduce(folder, "--seeds", "3,8")


def test_each_seed_has_its_run_and_the_means_are_told(made: tuple[Path, Result]) -> None:
    folder, result = made
    assert result.exit_code == 0
    runs = [RunReader(folder / "runs" / f"seed-{seed}") for seed in (3, 8)]
    assert [run.seed for run in runs] == [3, 8]
    base, zero = (mean_format(runs, model) for model in ("nano-base", "zero"))
    *_, line, changed = (line.split() for line in result.output.splitlines() if line.split()[:2] == ["format", "%"])
    values = [float(re.split("[±(]", cell)[0]) for cell in line[2:] if not cell.startswith("(")]
    assert values == [pytest.approx(base, abs=0.5), pytest.approx(zero, abs=0.5)]
    assert float(re.split("[±(]", changed[2])[0]) == pytest.approx(zero - base, abs=0.5)
    assert "over 2 seeds" in result.output
    report = (folder / "runs/report.html").read_text()
    assert "2 seeds: 3, 8" in report
    assert "Right answers, training problems" in report


def test_runs_are_counted_and_advise_nothing(made: tuple[Path, Result]) -> None:
    folder, result = made
    begun = [line for line in result.output.splitlines() if line.startswith("seed ")]
    assert [line.partition(":")[0] for line in begun] == ["seed 3, run 1 of 2", "seed 8, run 2 of 2"]
    assert "Next:" not in result.output
    assert result.output.splitlines()[-1] == str(folder / "runs/report.html")


def test_curves_are_means_over_the_runs(made: tuple[Path, Result]) -> None:
    runs = [RunReader(made[0] / "runs" / f"seed-{seed}") for seed in (3, 8)]
    (curve,) = average_metric(runs, "length")
    assert curve.stage == "zero"
    rows = [run.stage("zero").read_metrics() for run in runs]
    assert curve.steps == [2, 4]
    for place, estimate in enumerate(curve.estimates):
        assert estimate.value == pytest.approx((rows[0][place]["length"] + rows[1][place]["length"]) / 2)


def test_runs_that_are_there_are_kept(made: tuple[Path, Result]) -> None:
    folder, _ = made
    refused = reproduce(folder, "--seeds", "3,8")
    assert refused.exit_code == 2
    assert "seed-3: holds a run already; go on with --resume" in refused.output
    before = (folder / "runs/seed-3/stages/zero/metrics.jsonl").stat().st_mtime_ns
    assert reproduce(folder, "--seeds", "3,8", "--resume").exit_code == 0
    assert (folder / "runs/seed-3/stages/zero/metrics.jsonl").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("seeds", "told"), [("1", "1 seed gives no interval"), ("1,x", "is no list of whole numbers"), ("1,-2", "seed")]
)
def test_seeds_that_are_none(tmp_path: Path, seeds: str, told: str) -> None:
    result = reproduce(tmp_path, "--seeds", seeds)
    assert result.exit_code == 2
    assert told in result.output


def test_the_seed_is_not_an_override(tmp_path: Path) -> None:
    result = reproduce(tmp_path, "--seeds", "1,2", "--set", "seed=5")
    assert result.exit_code == 2
    assert "the seeds are --seeds'" in result.output
    assert not (tmp_path / "runs").exists()
