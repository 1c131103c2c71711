"""Fields that name an entry of a registry: checked, made absolute, looked into by a plan, hashed for a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest

from dunwu.config.loader import dump_recipe, load_recipe
from dunwu.config.references import Names, find_references
from dunwu.config.schema import Recipe, RLStage, StageSpec
from dunwu.config.stage_kind import StageKind
from dunwu.errors import UserError
from dunwu.pipeline.inputs import hash_inputs
from dunwu.planning import make_plan
from dunwu.registry import losses, stages

Write = Callable[..., Path]
BEFORE = "[stages.zero.prompt]"
LOSS = "def mine(logprobs_BT, old_logprobs_BT, mask_BT, advantages_BT, clip): ...\n"


def load_with(write: Write, *, algorithm: str = "", model: str = "") -> Recipe:
    tables = "".join(f"[stages.zero.{name}]\n{text}\n" for name, text in (("algorithm", algorithm), ("model", model)))
    return load_recipe(write((BEFORE, tables + BEFORE)))


def list_problems(recipe: Recipe) -> list[str]:
    return [str(problem) for problem in make_plan(recipe).problems]


def test_every_field_that_names_an_entry_is_found(write: Write) -> None:
    stage = load_recipe(write()).stages["zero"]
    found = {field: (name, names.registry.noun) for field, name, names in find_references(stage)}
    assert found == {
        "kind": ("rl", "kind of stage"),
        "model.engine": ("builtin", "engine"),
        "tasks.0.task": ("countdown", "task"),
        "tasks.0.kind": ("math", "verifier"),
        "tasks.1.task": ("gsm8k", "task"),
        "tasks.1.kind": ("math", "verifier"),
        "algorithm.advantage": ("group-std", "advantage"),
        "algorithm.loss": ("grpo", "loss"),
        "evaluation.sets.0.task.task": ("countdown", "task"),
        "evaluation.sets.0.task.kind": ("math", "verifier"),
    }


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"algorithm": "loss = 'grop'"}, r"algorithm.loss: no loss is called 'grop'; did you mean grpo\?"),
        ({"algorithm": "advantage = 'gea'"}, r"algorithm.advantage: no advantage is called 'gea'; did you mean gae\?"),
        ({"model": "engine = 'vlm'"}, r"model.engine: no engine is called 'vlm'; did you mean vllm\?; there"),
    ],
)
def test_a_name_that_leads_to_nothing_is_refused(write: Write, tables: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_with(write, **tables)


def test_files_are_relative_to_the_recipe_and_those_of_an_override_to_the_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    recipe = load_with(write, algorithm="loss = 'mine.py:mine'")
    stage = recipe.stages["zero"]
    assert isinstance(stage, RLStage)
    assert stage.algorithm.loss == f"{tmp_path}/mine.py:mine"
    assert Recipe.model_validate_json(dump_recipe(recipe)) == recipe
    over = load_recipe(write(), ["stages.zero.algorithm.loss=mine.py:mine"]).stages["zero"]
    assert isinstance(over, RLStage)
    assert over.algorithm.loss == f"{tmp_path}/elsewhere/mine.py:mine"


class OddStage(StageSpec):
    """Fields of a kind of the user's."""

    function: str
    critic: Annotated[str, Names(losses)]
    words: str


def test_a_kind_of_the_user_s_may_name_files_in_any_field(tmp_path: Path) -> None:
    kind = StageKind(schema=OddStage, summary="Nothing.", makes="results", run=lambda stage, context: None)
    stages.register("odd")(kind)
    (tmp_path / "odd.toml").write_text(
        "name = 'odd'\n[stages.odd]\nkind = 'odd'\nfunction = 'f.py:g'\ncritic = 'c.py:h'\nwords = '{x} in f.py:g'\n"
    )
    stage = load_recipe(tmp_path / "odd.toml").stages["odd"]
    assert isinstance(stage, OddStage)
    assert (stage.function, stage.critic) == (f"{tmp_path}/f.py:g", f"{tmp_path}/c.py:h")
    assert stage.words == "{x} in f.py:g"


def test_a_custom_reward_names_file_and_function_in_one(write: Write, tmp_path: Path) -> None:
    custom = "[[stages.zero.reward.custom]]\nname = 'mine'\nfunction = 'rewards.py:brevity'\n"
    stage = load_recipe(write((BEFORE, custom + BEFORE))).stages["zero"]
    assert isinstance(stage, RLStage)
    (part,) = stage.reward.custom
    assert (part.file, part.function) == (tmp_path / "rewards.py", "brevity")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (None, "no such file: FILE"),
        ("def mien(a, b, c, d, e): ...", "FILE defines no 'mine' at its top level; did you mean mien?"),
        ("def mine(logprobs): ...", "'mine' of FILE cannot be called with five arguments, logprobs_BT, "),
        ("class mine: ...", "'mine' of FILE is a class, not a function"),
        ("def mine(:", "is no Python: "),
    ],
    ids=["no file", "no function", "arguments", "a class", "no Python"],
)
def test_a_plan_looks_into_the_file_of_a_loss(write: Write, tmp_path: Path, source: str | None, problem: str) -> None:
    file = tmp_path / "mine.py"
    if source is not None:
        file.write_text(source)
    (found,) = list_problems(load_with(write, algorithm="loss = 'mine.py:mine'"))
    assert "stages.zero.algorithm.loss: " in found
    assert problem.replace("FILE", str(file)) in found


def test_a_plan_finds_nothing_wrong_with_what_is_there(write: Write, tmp_path: Path) -> None:
    advantage, engine = "def rank(rewards_G): ...\n", "class Mine: ...\n"
    (tmp_path / "mine.py").write_text(LOSS + advantage + engine)
    algorithm = "loss = 'mine.py:mine'\nadvantage = 'mine.py:rank'"
    assert list_problems(load_with(write, algorithm=algorithm, model="engine = 'mine.py:Mine'")) == []


def test_a_plan_finds_a_module_that_is_not_installed(write: Write) -> None:
    (found,) = list_problems(load_with(write, model="engine = 'no_such_package.engines:build'"))
    assert "stages.zero.model.engine: no module is called 'no_such_package.engines' here" in found


def test_an_engine_is_refused_where_nothing_is_generated(write: Write) -> None:
    with pytest.raises(UserError, match=r"stages\.base\.model\.engine: json:loads, but this stage generates nothing"):
        load_recipe(write(("[stages.zero]", "model = { engine = 'json:loads' }\n[stages.zero]")))


def test_a_stage_depends_on_what_its_files_hold(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(LOSS)
    stage = load_with(write, algorithm="loss = 'mine.py:mine'").stages["zero"]

    def hash_all() -> dict[str, str]:
        return hash_inputs(stage, {}, lambda source: "nano-base", frozenset())

    first = hash_all()
    assert str(file) in first
    assert hash_all() == first
    file.write_text(f"{LOSS}# changed\n")
    changed = hash_all()
    assert {name for name in first if first[name] != changed[name]} == {str(file)}
