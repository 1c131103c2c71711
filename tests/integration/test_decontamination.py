"""What training and benchmark share is refused, left out or kept, as the recipe says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dunwu.cli import main
from dunwu.config.loader import load_recipe
from dunwu.monitoring.progress import Silent
from dunwu.pipeline.decontamination import decontaminate

RECIPE = """
name = "clean"
decontamination = { matches = "MATCHES" }
[data.lessons]
path = "lessons.jsonl"
[stages.taught]
kind = "sft"
from = "nano-base"
data = ["lessons"]
epochs = 1
batch = 4
prompt = { template = "nano" }
model = { threads = 1 }
[stages.table]
kind = "eval"
models = ["taught"]
max_new_tokens = 8
prompt = { template = "nano", max_tokens = 128 }
model = { threads = 1 }
[[stages.table.sets]]
name = "asked"
problems = 2
samples = 1
task = { task = "file", path = "asked.jsonl", fields = { problem = "q", answer = "a" }, held_out = 1.0 }
"""
OTHERS = """
[data.others]
path = "other/lessons.jsonl"
"""
QUESTION = "A farmer has seventeen sheep and all but nine of them run away, how many are left?"


def run(folder: Path, matches: str) -> tuple[int, str]:
    lessons = [{"prompt": f"{n} + 1?", "response": f" {n + 1}"} for n in range(6)]
    lessons.append({"prompt": f"Listen. {QUESTION}", "response": " 9"})
    asked = [{"q": QUESTION, "a": "9"}, {"q": "What is the largest prime below thirty?", "a": "29"}]
    (folder / "lessons.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lessons))
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    (folder / "clean.toml").write_text(RECIPE.replace("MATCHES", matches))
    result = CliRunner().invoke(main, ["run", str(folder / "clean.toml"), "--out", str(folder / "run")])
    return result.exit_code, " ".join(result.output.split())


def test_matches_are_refused_by_default_and_nothing_is_left_behind(tmp_path: Path) -> None:
    code, told = run(tmp_path, "refuse")
    assert code == 2
    assert "decontamination.matches: 1 of 7 training texts share 10 words in a row" in told
    assert "of it: lessons:lessons-7 and table/asked: 'a farmer has seventeen sheep" in told
    assert not (tmp_path / "run/manifest.json").exists(), "the same command may begin again"
    report = json.loads((tmp_path / "run-contamination.json").read_text())
    (first,) = report["sources"]["data.lessons"]["first"]
    assert first["text"] == "lessons:lessons-7"
    assert first["benchmark"] == "table/asked"


@pytest.mark.parametrize(("matches", "learnt"), [("drop", 6), ("keep", 7)])
def test_matches_are_left_out_or_kept(matches: str, learnt: int, tmp_path: Path) -> None:
    code, told = run(tmp_path, matches)
    assert code == 0
    assert f"SFT on {learnt} conversations" in told


def test_rows_of_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    rows = [{"prompt": f"{n} + 2?", "response": f" {n + 2}"} for n in range(7)]
    (tmp_path / "other" / "lessons.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(tmp_path, "drop")  # writes the files
    text = RECIPE.replace("MATCHES", "drop").replace('data = ["lessons"]', 'data = ["lessons", "others"]')
    (tmp_path / "two.toml").write_text(text.replace("[stages.taught]", OTHERS + "[stages.taught]"))
    result = CliRunner().invoke(main, ["run", str(tmp_path / "two.toml"), "--out", str(tmp_path / "two")])
    assert result.exit_code == 0
    assert "SFT on 13 conversations" in " ".join(result.output.split())


def test_a_benchmark_that_comes_later_meets_what_was_learnt(tmp_path: Path) -> None:
    """What was trained on without it must not be said to be left out."""
    run(tmp_path, "drop")
    whole = (tmp_path / "clean.toml").read_text()
    table = whole.index("[stages.table]")
    (tmp_path / "clean.toml").write_text(whole[:table])
    command = ["run", str(tmp_path / "clean.toml"), "--out", str(tmp_path / "later")]
    assert CliRunner().invoke(main, command).exit_code == 0
    (tmp_path / "clean.toml").write_text(whole)
    result = CliRunner().invoke(main, [*command, "--resume"])
    assert result.exit_code == 2
    assert "what is left out of the training texts is not what stage 'taught' began from" in result.output


STAGED = """
name = "staged"
decontamination = { matches = "drop" }
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 16
reference_every = 0
tasks = [{ task = "gsm8k", path = "train.jsonl", held_out = 0.0 }]
[[stages.zero.evaluation.sets]]
name = "test"
problems = 2
samples = 1
task = { task = "gsm8k", path = "test.jsonl", held_out = 1.0 }
[data.lessons]
path = "lessons.jsonl"
[stages.taught]
kind = "sft"
from = "nano-base"
data = ["lessons"]
"""
SOLUTION = "Each of the four boxes holds six red pens so that there are 4 * 6 = 24 pens in all"


def left_out(folder: Path, lessons: list[dict[str, str]], training: list[str]) -> frozenset[str]:
    """What is dropped where a training file and a benchmark of GSM8K's form meet."""
    asked = [{"question": QUESTION, "answer": f"{SOLUTION}. #### 24"}, {"question": "2 + 2?", "answer": "#### 4"}]
    rows = [{"question": text, "answer": "#### 1"} for text in training]
    for name, content in (("test", asked), ("train", rows), ("lessons", lessons)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    (folder / "staged.toml").write_text(STAGED)
    progress = Silent()
    return decontaminate(load_recipe(folder / "staged.toml"), folder / "run", progress)


CLEAN = [{"prompt": "1 + 1?", "response": "2"}]


def test_a_solution_is_contamination_where_only_its_result_is_graded(tmp_path: Path) -> None:
    copied = {"prompt": "How many pens?", "response": f"Well. {SOLUTION.upper()}!"}
    assert left_out(tmp_path, [*CLEAN, copied], ["What is 7 + 9?"]) == {"lessons:lessons-2"}


def test_problems_that_are_trained_on_are_held_against_evaluations_on_the_way(tmp_path: Path) -> None:
    (found,) = left_out(tmp_path, CLEAN, ["What is 7 + 9?", f"Tell me: {QUESTION}"])
    assert found.startswith("gsm8k-")
    assert left_out(tmp_path, CLEAN, ["What is 7 + 9?"]) == frozenset()
