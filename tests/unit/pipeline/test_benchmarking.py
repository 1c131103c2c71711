"""The command's wishes as a recipe."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.published import write

from dunwu.api.model_sources import Source, source_of
from dunwu.commands import evaluate
from dunwu.commands.contamination import find_contamination
from dunwu.commands.evaluate import EvaluationRequest, build_recipe
from dunwu.config.schema import EvalStage, Recipe
from dunwu.config.toml import dump_toml
from dunwu.errors import UserError
from dunwu.monitoring.progress import Silent

SERVER = "http://127.0.0.1:1/v1#m"


def made(*benches: str, overrides: tuple[str, ...] = (), model: str = SERVER, **asked: Any) -> Recipe:
    fields = {"models": (model,), "benchmarks": benches, "files": ()} | asked
    return build_recipe(EvaluationRequest(**fields), overrides, Silent())


def only(recipe: Recipe) -> EvalStage:
    (stage,) = recipe.stages.values()
    assert isinstance(stage, EvalStage)
    return stage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "my.sums.jsonl", [{"problem": f"{n}?", "answer": n, "q": f"{n}!"} for n in range(9)])


def test_a_stage_for_each_form_of_answer_with_its_sets_in_order(path: Path) -> None:
    recipe = made("aime", "countdown", "file", "game24", files=(path, path), problems=4)
    forms = {
        name: [chosen.name for chosen in stage.sets]
        for name, stage in recipe.stages.items()
        if isinstance(stage, EvalStage)
    }
    assert forms == {"boxed": ["aime", "my"], "answer-tag": ["countdown", "game24"]}
    assert recipe.name == "eval-m-aime-my-countdown-game24"


def test_the_paper_s_sampling_unless_it_is_said_otherwise(path: Path) -> None:
    stage = only(made("aime", files=(path,)))
    assert (stage.temperature, stage.top_p, stage.max_new_tokens) == (0.6, 0.95, 32768)
    assert (stage.sets[0].samples, stage.sets[0].problems, stage.prompt.template) == (64, 9, "chat")
    stage = only(made("aime", files=(path,), temperature=0.0, max_new_tokens=5))
    assert (stage.temperature, stage.sets[0].samples, stage.max_new_tokens) == (0.0, 1, 5)


@pytest.mark.parametrize("option", ["samples", "problems", "max_new_tokens"])
@pytest.mark.parametrize("bench", ["countdown", "aime"])
def test_nothing_at_all_is_not_the_default(bench: str, option: str, path: Path) -> None:
    asked: dict[str, Any] = {option: 0, "files": (path,) if bench == "aime" else ()}
    with pytest.raises(UserError, match=f"{option}: must be greater than 0, not 0"):
        made(bench, **asked)


def test_a_model_s_positions_are_shared_by_question_and_answer(path: Path) -> None:
    stage = only(made("aime", files=(path,), model="nano-base"))
    assert (stage.prompt.max_tokens, stage.max_new_tokens, stage.prompt.template) == (768, 256, "nano")
    stage = only(made("aime", files=(path,), model="nano-base", max_new_tokens=100))
    assert (stage.prompt.max_tokens, stage.max_new_tokens) == (924, 100)


def test_a_task_of_one_s_own_is_a_benchmark_by_its_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stage = only(made("mine.py:double", problems=7))
    (chosen,) = stage.sets
    assert (chosen.name, chosen.task.task, chosen.problems) == ("double", f"{tmp_path / 'mine.py'}:double", 7)
    assert (chosen.samples, chosen.instruction) == (4, only(made("countdown")).sets[0].instruction)


def test_overrides_are_heard_before_problems_are_counted(path: Path) -> None:
    place = "stages.boxed.sets.0"
    stage = only(
        made("file", files=(path,), overrides=(f"{place}.task.fields.problem=q", "stages.boxed.max_sequences=7"))
    )
    assert (stage.sets[0].problems, stage.max_sequences, stage.sets[0].task.fields["problem"]) == (9, 7, "q")
    assert only(made("file", files=(path,))).sets[0].task.fields["problem"] == "problem"
    both = made("aime", "countdown", files=(path,), overrides=("stages.boxed.prompt.template=x {prompt}",))
    templates = [stage.prompt.template for stage in both.stages.values() if isinstance(stage, EvalStage)]
    assert templates == ["x {prompt}", "chat"]
    with pytest.raises(
        UserError, match=r"--set stages\.boxed\.sets\.0\.task\.kind=magic: no verifier is called 'magic'"
    ):
        made("file", files=(path,), overrides=(f"{place}.task.kind=magic",))


@pytest.mark.parametrize("override", ["stages.boxed.sets=3", "stages.boxed=3", "stages.boxed.sets.0=3"])
def test_an_override_of_another_shape_is_told_of(path: Path, override: str) -> None:
    with pytest.raises(UserError, match=r"must be|needs|table"):
        made("file", files=(path,), overrides=(override,))


def test_columns_of_an_own_file_are_named(path: Path) -> None:
    recipe = made("file", "aime", files=(path, path), fields=("problem=q", "level=answer"))
    own, published = only(recipe).sets
    assert own.task.fields == {"problem": "q", "answer": "answer", "level": "answer"}
    assert published.task.fields == {}


@pytest.mark.parametrize(
    ("benches", "field", "line"),
    [
        (("file",), "problem", "--field problem: is NAME=COLUMN"),
        (("file",), "problme=q", "--field: no field 'problme'; .* did you mean problem"),
        (("aime",), "problem=q", "--field: names columns of a file of one's own: --bench file, choices, programs"),
    ],
)
def test_a_column_that_cannot_be_named_is_told_of(path: Path, benches: tuple[str, ...], field: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        made(*benches, files=(path,), fields=(field,))


def test_a_column_that_the_file_lacks_is_told_with_the_option(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", [{"problem": f"{n}?", "solution": n} for n in range(3)])
    with pytest.raises(UserError) as error:
        made("file", files=(path,))
    text = "name the column with --field answer=COLUMN: every row lacks the column: line 1: no field 'answer'"
    assert str(error.value) == f"{path}: --field: {text}; it has 'problem', 'solution'"
    assert only(made("file", files=(path,), fields=("answer=solution",))).sets[0].problems == 3


def test_without_datasets_a_file_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = r"^openai/gsm8k: --bench: datasets is not installed: pip install 'dunwu\[data\]', or give --data FILE$"
    with pytest.raises(UserError, match=told):
        made("gsm8k")
    with pytest.raises(UserError, match=told):
        find_contamination(tmp_path / "never-read.jsonl", ("gsm8k",), ())


def test_a_folder_is_asked_as_it_was_trained_wherever_it_lies(tmp_path: Path, path: Path) -> None:
    from dunwu.models.export import write_chat_template
    from dunwu.models.load import load_policy, save_policy

    save_policy(load_policy("nano-base"), tmp_path / "moved")
    for template in ("nano", "r1-zero", "Q: {prompt} A:"):
        write_chat_template(tmp_path / "moved", template)
        assert only(made("countdown", model=str(tmp_path / "moved"))).prompt.template == template


def test_models_that_are_asked_in_different_ways_need_a_word(tmp_path: Path, path: Path) -> None:
    from dunwu.models.load import load_policy, save_policy

    save_policy(load_policy("nano-base"), tmp_path / "plain")
    models = ("nano-base", str(tmp_path / "plain"))
    with pytest.raises(UserError, match=r"asked in different ways \(nano-base 'nano', plain 'r1-zero'\): say which"):
        made("countdown", models=models)
    assert only(made("countdown", models=models, template="nano")).prompt.template == "nano"
    assert only(made("countdown", models=("nano-base", SERVER))).prompt.template == "nano"


def test_a_base_is_asked_as_what_was_trained_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dunwu.models.load import load_policy, save_policy

    base = str(tmp_path / "plain")
    save_policy(load_policy("nano-base"), tmp_path / "plain")
    stage = {"from": base, "prompt": {"template": "Q: {prompt} A:"}, "rollout": {"stop": ["</answer>", "Q:"]}}
    trained = Source(source="nano-base", stage=stage)
    find = source_of
    monkeypatch.setattr(evaluate, "source_of", lambda text: trained if text == "run" else find(text))
    for models in (("run", base), (base, "run"), ("run",)):
        asked = only(made("countdown", models=models))
        assert (asked.prompt.template, asked.stop) == ("Q: {prompt} A:", ("</answer>", "Q:"))
    asked = only(made("countdown", models=(base,)))
    assert (asked.prompt.template, asked.stop) == ("r1-zero", ())


def test_a_recipe_is_written_as_it_is_read(path: Path) -> None:
    template = 'He said "so"\\n\t\x7f{prompt} 题'
    recipe = made("aime", "countdown", files=(path,), template=template, model="nano-base", seed=3)
    tree = tomllib.loads(dump_toml(recipe))
    assert Recipe.model_validate_json(json.dumps(tree)) == recipe
    assert tree["stages"]["boxed"]["prompt"]["template"] == template
