"""Answers that a model gave become what the next one learns from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dunwu.cli import main
from tests.integration.runs import exit_code, fingerprints, start, survive

RECIPE = """
name = "harvest"
seed = 5
[stages.picked]
kind = "reject"
from = "nano-base"
questions = 40
samples = 8
chunk = 8
max_new_tokens = 64
[[stages.picked.tasks]]
task = "countdown"
levels = [3]
languages = ["en", "zh"]
[stages.picked.prompt]
template = "nano"
max_tokens = 64
[stages.picked.model]
threads = 1
[stages.taught]
kind = "sft"
from = "nano-base"
data = ["picked"]
epochs = 3
batch = 8
[stages.taught.prompt]
template = "nano"
[stages.taught.optimizer]
lr = 1e-3
[stages.taught.model]
threads = 1
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("harvest")
    (folder / "harvest.toml").write_text(RECIPE)
    process = start(folder / "harvest.toml", folder / "run")
    process.join()
    assert exit_code(process) == 0
    return folder


def test_right_answers_are_kept_and_learnt(made: Path) -> None:
    stage = made / "run/stages/picked"
    rows = [json.loads(line) for line in (stage / "data.jsonl").open()]
    counts = json.loads((stage / "counts.json").read_text())["countdown"]
    assert counts["questions"] == 40
    assert counts["answers"] == 320
    assert counts["kept"] == len(rows)
    assert sum(number for name, number in counts.items() if name not in ("questions", "tokens", "answers")) == 320
    assert len({row["messages"][0]["content"] for row in rows}) == len(rows) >= 10
    assert {row["language"] for row in rows} == {"en", "zh"}
    assert all(row["messages"][1]["content"].count("<answer>") == 1 for row in rows)
    metrics = [json.loads(line) for line in (made / "run/stages/taught/metrics.jsonl").open()]
    assert len(metrics) == 3 * -(-len(rows) // 8)
    assert metrics[-1]["loss"] < metrics[0]["loss"]


def test_killed_and_resumed_equals_undisturbed(made: Path, tmp_path: Path) -> None:
    out = survive(made / "harvest.toml", tmp_path, kills=3, seed=2)
    assert fingerprints(out) == fingerprints(made / "run")


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        (
            "stages.taught.data=['pickd']",
            "taught.data.0: no data of this recipe is called 'pickd' (known here:",
        ),
        ("data.picked={path='x.jsonl'}", "data.picked: is the name of a stage that makes conversations too"),
        ("stages.picked.keep=9", "picked.keep: 9 are more than the 8 samples"),
        ("stages.picked.temperature=0", "picked.samples: 8 samples at temperature 0 are all equal"),
        ("stages.picked.tasks.0.levels=[9]", "picked.tasks.0.levels: countdown has no level 9"),
        ("stages.taught.from=picked", "taught.from: no earlier stage or packaged model is called 'picked'"),
    ],
)
def test_recipes_that_cannot_be_run(made: Path, tmp_path: Path, setting: str, line: str) -> None:
    out = ["--out", str(tmp_path / "out"), "--set", setting]
    told = CliRunner().invoke(main, ["run", str(made / "harvest.toml"), *out])
    assert told.exit_code == 2
    (error,) = told.stderr.strip().splitlines()
    assert line.partition(": ")[2] in error


def test_nothing_right_is_told(made: Path, tmp_path: Path) -> None:
    out = [
        "--out",
        str(tmp_path / "out"),
        "--set",
        "stages.picked.max_new_tokens=2",
        "--set",
        "stages.picked.questions=2",
    ]
    told = CliRunner().invoke(main, ["run", str(made / "harvest.toml"), *out])
    assert told.exit_code == 2
    assert "stages.picked.from: no answer was right and readable" in told.stderr
