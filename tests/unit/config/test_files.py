"""Recipes that extend others: what is merged, what replaces, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.config.loader import load_recipe
from dunwu.config.schema import RLStage
from dunwu.errors import UserError

BASE = """
name = "base"
seed = 5
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 16
reference_every = 0
rollout = { questions = 8, group_size = 8, max_new_tokens = 64 }
update = { minibatches = 1 }
[[stages.zero.tasks]]
task = "countdown"
[[stages.zero.tasks]]
task = "bases"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "base.toml").write_text(BASE)
    return tmp_path


def load(folder: Path, text: str, *overrides: str) -> RLStage:
    path = folder / "mine.toml"
    path.write_text(text)
    stage = load_recipe(path, overrides).stages["zero"]
    assert isinstance(stage, RLStage)
    return stage


def test_tables_are_merged_and_everything_else_replaces(folder: Path) -> None:
    stage = load(
        folder,
        """
name = "mine"
extends = "far/base.toml"
[stages.zero]
steps = 32
rollout = { group_size = 4 }
tasks = [{ task = "bases" }]
[stages.table]
kind = "eval"
models = ["zero"]
sets = [{ name = "again", task = { task = "bases" } }]
""",
        "stages.zero.rollout.questions=2",
    )
    assert (stage.steps, stage.rollout.group_size, stage.rollout.max_new_tokens) == (32, 4, 64)
    assert [task.task for task in stage.tasks] == ["bases"]
    recipe = load_recipe(folder / "mine.toml")
    assert (recipe.name, recipe.seed, list(recipe.stages)) == ("mine", 5, ["zero", "table"])


def test_a_path_is_relative_to_the_file_that_has_it(folder: Path) -> None:
    task = 'tasks = [{ task = "gsm8k", path = "rows.jsonl" }]'
    extended = BASE[: BASE.index("[[stages")] + task
    (folder / "far" / "base.toml").write_text(extended)
    head = 'name = "mine"\nextends = "far/base.toml"\n'
    assert load(folder, head).tasks[0].path == folder / "far" / "rows.jsonl"
    assert load(folder, f"{head}[stages.zero]\n{task}").tasks[0].path == folder / "rows.jsonl"


def test_extending_goes_on_and_knows_packaged_recipes(folder: Path) -> None:
    (folder / "between.toml").write_text('name = "between"\nextends = "nano/r1-zero"\n[stages.zero]\nsteps = 32\n')
    stage = load(folder, 'name = "mine"\nextends = "between.toml"\n[stages.zero.optimizer]\nlr = 1e-5\n')
    shipped = load_recipe(folder / "between.toml", ["stages.zero.optimizer.lr=1e-5"])
    assert stage.steps == 32
    assert stage == shipped.stages["zero"]
    assert stage.optimizer.lr == 1e-5


def test_shared_tasks_are_merged_and_those_that_nobody_names_any_more_are_gone(folder: Path) -> None:
    shared = "[tasks.three]\ntask = 'countdown'\nheld_out = 0.1\n[tasks.four]\ntask = 'bases'\n"
    extended = BASE[: BASE.index("[[stages")].replace("[stages", f"{shared}[stages", 1) + 'tasks = ["three", "four"]'
    (folder / "far" / "base.toml").write_text(extended)
    head = 'name = "mine"\nextends = "far/base.toml"\n'
    stage = load(folder, f"{head}[tasks.three]\nlevels = [4]\n[stages.zero]\ntasks = ['three']\n")
    (task,) = stage.tasks
    assert (task.task, task.levels, task.held_out) == ("countdown", (4,), 0.1)
    again = load(
        folder, f"{head}[stages.zero]\ntasks = ['three']\n", "stages.zero.tasks.0=four", "tasks.four.held_out=0.2"
    )
    assert [(task.task, task.held_out) for task in again.tasks] == [("bases", 0.2)]
    with pytest.raises(UserError, match=r"mine.toml: tasks.own: no stage names it"):
        load(folder, f"{head}[tasks.own]\ntask = 'bases'\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('extends = "far/base.toml"', "mine.toml: name: is missing"),
        ('name = "mine"\nextends = ""', "mine.toml: extends: must be the file or the name of a recipe"),
        (f'name = "mine"\nextends = "{300 * "a"}"', "no such file, and no recipe of this name"),
        ('name = "mine"\nextends = 3', "mine.toml: extends: must be the file or the name of a recipe"),
        ('name = "mine"\nextends = "mine.toml"', "mine.toml: extends: the recipe extends itself"),
        ('name = "mine"\nextends = "far/../mine.toml"', "mine.toml: extends: the recipe extends itself"),
        (
            'name = "mine"\nextends = "nano/r1zero"',
            "mine.toml: extends: nano/r1zero: no such file, and no recipe of this name; dunwu recipes lists them; "
            "did you mean nano/r1-zero?",
        ),
        ('name = "mine"\nextends = "far/broken.toml"', "far/broken.toml: end of document: broken TOML"),
        (
            'name = "mine"\nextends = "far/base.toml"\n[stages.zero]\nstepz = 3',
            "mine.toml: stages.zero.stepz: unknown field; did you mean steps?",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Path, text: str, told: str) -> None:
    (folder / "far" / "broken.toml").write_text("name =")
    with pytest.raises(UserError) as caught:
        load(folder, text)
    assert told in str(caught.value)


def test_a_long_row_of_recipes_has_an_end(folder: Path) -> None:
    for number in range(40):
        (folder / f"{number}.toml").write_text(f'name = "x"\nextends = "{number + 1}.toml"\n')
    with pytest.raises(UserError, match=r"mine.toml: extends: more than 16 recipes extend each other"):
        load(folder, 'name = "mine"\nextends = "0.toml"\n')


def test_two_recipes_that_extend_each_other_are_refused(folder: Path) -> None:
    (folder / "far" / "base.toml").write_text('name = "base"\nextends = "../mine.toml"\n')
    with pytest.raises(UserError, match=r"far/base.toml: extends: the recipe extends itself"):
        load(folder, 'name = "mine"\nextends = "far/base.toml"\n')
