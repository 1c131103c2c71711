"""A recipe of several stages: supervised training, then models beside each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest
from typer.testing import CliRunner, Result

from dunwu.cli import main
from dunwu.tasks.generators.countdown import COUNTDOWN
from dunwu.tasks.task import GeneratedTask
from tests.integration.runs import exit_code, fingerprints, start, survive

RECIPE = """
name = "two"
seed = 5

[data.answers]
path = "answers.jsonl"

[stages.taught]
kind = "sft"
from = "nano-base"
data = ["answers"]
epochs = 5
batch = 16
max_tokens = 128
[stages.taught.prompt]
template = "nano"
[stages.taught.optimizer]
lr = 2e-3
[stages.taught.model]
threads = 1
[stages.taught.checkpoint]
every = 2

[stages.table]
kind = "eval"
models = ["nano-base", "taught"]
max_new_tokens = 48
temperature = 1.0
[stages.table.prompt]
template = "nano"
max_tokens = 64
[stages.table.model]
threads = 1
[[stages.table.sets]]
name = "three"
task = { task = "countdown", levels = [3] }
problems = 12
samples = 4
[[stages.table.sets]]
name = "four"
task = { task = "countdown", levels = [4] }
problems = 4
samples = 2
"""


def written(folder: Path, count: int = 60) -> Path:
    """The recipe, and conversations in which the answer comes at once."""
    task = GeneratedTask("countdown", COUNTDOWN, 3, levels=(3,))
    rows = []
    for problem in map(task.get_problem, range(count)):
        answer = f" <think>done</think> <answer>{problem.gold}</answer>"
        asked = {"role": "user", "content": problem.messages[0].content}
        rows.append({"messages": [asked, {"role": "assistant", "content": answer}]})
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "two.toml").write_text(RECIPE)
    return folder / "two.toml"


def run(recipe: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["run", str(recipe), "--out", str(out), *more])


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipe, and its run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("stages")
    process = start(written(folder), folder / "straight")
    process.join()
    assert exit_code(process) == 0
    return folder


def test_what_was_taught_is_said_and_the_models_stand_beside_each_other(straight: Path) -> None:
    summary = json.loads((straight / "straight" / "summary.json").read_text())
    assert list(summary["results"]) == ["nano-base", "taught", "nano-base/four", "taught/four"]
    rows = pyarrow.parquet.read_table(straight / "straight/stages/table/evaluations/taught/three.parquet").to_pylist()
    assert len(rows) == 48
    short = sum(row["text"].startswith(" <think>done</think> <answer>") for row in rows)
    assert short > 40
    base, taught = (summary["results"][name]["length"]["value"] for name in ("nano-base", "taught"))
    assert taught < base - 5
    metrics = [json.loads(line) for line in (straight / "straight/stages/taught/metrics.jsonl").open()]
    assert [row["step"] for row in metrics] == list(range(1, 21))
    assert metrics[-1]["loss"] < 0.7 * metrics[0]["loss"]
    assert metrics[-1]["lr"] == pytest.approx(2e-4)
    report = (straight / "straight" / "report.html").read_text()
    assert "Stage table" in report


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_and_resumed_equals_undisturbed(straight: Path, tmp_path: Path, kills: int) -> None:
    out = survive(straight / "two.toml", tmp_path, kills, seed=kills)
    assert fingerprints(out) == fingerprints(straight / "straight")


def test_a_stage_that_comes_out_the_same_leaves_what_was_built_on_it(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight / "straight", tmp_path / "out")
    shutil.rmtree(tmp_path / "out/stages/taught")
    done = run(straight / "two.toml", tmp_path / "out", "--resume")
    assert done.exit_code == 0, done.output
    assert "table: done before" in done.output
    assert "taught: done before" not in done.output
    assert fingerprints(tmp_path / "out/stages") == fingerprints(straight / "straight/stages")


def test_finished_stages_are_not_run_again_and_a_new_one_is(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight / "straight", tmp_path / "out")
    model = (tmp_path / "out/stages/taught/model/model.safetensors").stat().st_mtime_ns
    text = RECIPE + RECIPE[RECIPE.index("[stages.table]") :].replace("stages.table", "stages.again")
    (straight / "more.toml").write_text(text)
    done = run(straight / "more.toml", tmp_path / "out", "--resume")
    assert done.exit_code == 0, done.output
    assert "taught: done before" in done.output
    assert (tmp_path / "out/stages/taught/model/model.safetensors").stat().st_mtime_ns == model
    tables = [fingerprints(tmp_path / "out/stages" / name) for name in ("table", "again")]
    assert tables[0] == tables[1]


def test_other_data_than_a_stage_began_from_are_told_and_its_folder_gone_make_it_again(
    straight: Path, tmp_path: Path
) -> None:
    shutil.copytree(straight / "straight", tmp_path / "out")
    written(tmp_path, count=40)
    for name in ("recipe.json", "recipe.toml"):
        path = tmp_path / "out" / name
        path.write_text(path.read_text().replace(str(straight), str(tmp_path)))
    done = run(tmp_path / "two.toml", tmp_path / "out", "--resume")
    assert done.exit_code == 2
    assert "stages/taught: data.answers is not what stage 'taught' began from" in done.stderr
    shutil.rmtree(tmp_path / "out/stages/taught")
    done = run(tmp_path / "two.toml", tmp_path / "out", "--resume")
    assert done.exit_code == 2
    assert "stages/table: taught is not what stage 'table' began from" in done.stderr
    shutil.rmtree(tmp_path / "out/stages/table")
    done = run(tmp_path / "two.toml", tmp_path / "out", "--resume")
    assert done.exit_code == 0, done.output
    assert len((tmp_path / "out/stages/taught/metrics.jsonl").read_text().splitlines()) == 15


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["stages.taught.data=['answer']"], "data.0: no data of this recipe is called 'answer' (known here: answers)"),
        (["stages.taught.max_tokens=8"], "taught.max_tokens: none of 60 conversations has at most 8 tokens"),
        (["data.answers.path=x.jsonl"], "data.answers.path=x.jsonl: no such file: "),
        (["stages.table.models=['taught', 'tought']"], "models.1: no earlier stage or packaged model is called"),
        (["stages.table.models=['taught', 'taught']"], "models.1: 'taught' is the name of an earlier model"),
        (["stages.table.models=['taught', '/tmp/trained']"], "models.1: no such folder: /tmp/trained"),
        (["stages.table.temperature=0"], "sets.0.samples: 4 samples at temperature 0 are all equal"),
        (["stages.table.max_new_tokens=1000"], "= 1064 is more than the model's 1024 positions"),
    ],
)
def test_recipes_that_cannot_be_run(straight: Path, tmp_path: Path, settings: list[str], line: str) -> None:
    told = run(straight / "two.toml", tmp_path / "out", *(part for text in settings for part in ("--set", text)))
    assert told.exit_code == 2
    (error,) = told.stderr.strip().splitlines()
    assert line in error
