"""The perplexity of ordinary text beside held-out problems, from a recipe to its summary and its report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dunwu.cli import main
from tests.integration.runs import SHORT_RECIPE, write_recipe

RL = """
[[stages.zero.evaluation.texts]]
name = "notes"
path = "notes.txt"
[[stages.zero.evaluation.texts]]
name = "english"
passages = 2
"""
TABLE = """
[stages.table]
kind = "eval"
models = ["nano-base", "zero"]
max_new_tokens = 24
[stages.table.prompt]
template = "nano"
max_tokens = 64
[[stages.table.sets]]
name = "few"
task = { task = "countdown", levels = [3] }
problems = 2
samples = 1
[[stages.table.texts]]
name = "words"
path = "notes.txt"
"""


def dunwu(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run whose texts are measured before, on the way, after, and of two models."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "notes.txt").write_text("12 - 7 = 5\n\n3 * 9 = 27, not 28\n")
    recipe = write_recipe(folder, SHORT_RECIPE + RL + TABLE)
    result = dunwu("run", recipe, "--out", folder / "run", "--set", "stages.zero.steps=8")
    assert result.exit_code == 0, result.output
    (folder / "output.txt").write_text(result.output)
    return folder / "run"


def test_texts_are_measured_whenever_the_first_set_is(run: Path) -> None:
    for stage, checkpoints in {"zero": ("base", "step-000004", "trained"), "table": ("nano-base", "zero")}.items():
        for checkpoint in checkpoints:
            for name in ("notes", "english") if stage == "zero" else ("words",):
                file = run / "stages" / stage / "evaluations" / checkpoint / f"{name}.json"
                results = json.loads(file.read_text())
                assert list(results) == ["perplexity", "bits_per_character"]
                assert all(0 < found["low"] <= found["value"] <= found["high"] for found in results.values())


def test_a_policy_and_its_folder_have_one_perplexity(run: Path) -> None:
    trained, loaded = (
        json.loads((run / "stages" / place).read_text())
        for place in ("zero/evaluations/trained/notes.json", "table/evaluations/zero/words.json")
    )
    for name in trained:
        assert trained[name]["value"] == pytest.approx(loaded[name]["value"], rel=1e-5)


def test_lines_summary_and_report_show_them(run: Path) -> None:
    output = (run.parent / "output.txt").read_text()
    assert "trained on notes: perplexity " in output
    assert "bits_per_character " in output
    assert "perplexity" in json.loads((run / "summary.json").read_text())["results"]["zero/words"]
    report = (run / "report.html").read_text()
    assert re.search("Ordinary text; 95.% intervals over passages", report)
    assert "0 problems" not in report


def test_an_evaluation_of_text_that_is_gone_is_named(run: Path) -> None:
    from dunwu.analysis.missing_files import find_missing_evaluations
    from dunwu.runs import RunReader

    assert find_missing_evaluations(RunReader(run), "zero") is None
    file = run / "stages/zero/evaluations/step-000004/english.json"
    content = file.read_text()
    file.unlink()
    assert "step-000004/english.json" in str(find_missing_evaluations(RunReader(run), "zero"))
    file.write_text(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RL.replace("english", "held-out"), "'held-out' is the name of an earlier set"),
        (RL.replace('name = "english"', 'name = "notes"'), "'notes' is the name of an earlier set"),
        (RL.replace("notes.txt", "none.txt"), "evaluation.texts.0.path: "),
        (RL.replace("passages = 2", "passages = 0"), "evaluation.texts.1.passages"),
        (
            TABLE.replace('"zero"', '"http://127.0.0.1:1/v1#m"'),
            "stages.table.texts: http://127.0.0.1:1/v1#m is a server",
        ),
    ],
)
def test_what_no_text_can_be_is_named_before_anything_runs(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text("One.\n\nTwo.\n")
    result = dunwu("run", write_recipe(tmp_path, SHORT_RECIPE + text), "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "run").exists()
