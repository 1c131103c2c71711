"""Tasks that a recipe names once and stages use by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.config.loader import dump_recipe, load_recipe
from dunwu.config.schema import EvalStage, RLStage
from dunwu.errors import UserError
from dunwu.planning import make_plan

RECIPE = """
name = "shared"
[tasks.three]
task = "countdown"
held_out = 0.05
[tasks.four]
task = "countdown"
levels = [4]
held_out = 0.05
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 16
reference_every = 0
tasks = ["three", { task = "bases" }]
[[stages.zero.evaluation.sets]]
name = "held-out"
task = "four"
[stages.table]
kind = "eval"
models = ["zero"]
sets = [{ name = "again", task = "three" }]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "shared.toml").write_text(RECIPE)
    return tmp_path / "shared.toml"


def test_names_stand_for_tables_wherever_a_task_is_wanted(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path, ["tasks.three.languages=['zh']"])
    zero, table = recipe.stages["zero"], recipe.stages["table"]
    assert isinstance(zero, RLStage)
    assert isinstance(table, EvalStage)
    assert [task.task for task in zero.tasks] == ["countdown", "bases"]
    assert zero.tasks[0] == table.sets[0].task
    assert zero.tasks[0].languages == ("zh",)
    assert zero.evaluation.sets[0].task.levels == (4,)
    (tmp_path / "recipe.json").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "recipe.json") == recipe


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stages.zero.tasks=['thre']", "stages.zero.tasks.0: no task of this recipe is called 'thre' (known here: thr"),
        ("stages.table.sets=[{name='x', task='nine'}]", "stages.table.sets.0.task: no task of this recipe is called"),
        ("tasks.spare.task=countdown", "tasks.spare: no stage names it"),
        ("tasks=3", "must be tables, [tasks.NAME]"),
    ],
)
def test_slips_are_told_with_their_place(path: Path, override: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(path, [override])
    assert told in str(caught.value)


def test_a_slip_in_a_shared_task_is_told_where_it_is_written(path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(path, ["tasks.three.held_out=7"])
    assert str(caught.value).startswith("--set tasks.three.held_out=7: ")
    path.write_text(RECIPE.replace("levels = [4]", "levles = [4]"))
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: tasks.four.levles: ")


def test_what_is_wrong_with_a_shared_task_is_told_once(path: Path) -> None:
    planned = make_plan(load_recipe(path, ["tasks.three={task='gsm8k'}"]))
    *_, told = (problem.message for problem in planned.problems if problem.field == "stages.zero.tasks.0.path")
    assert sum("gsm8k" in problem.message for problem in planned.problems) == 1
    assert (
        told == "is missing: gsm8k reads a file; say which, there or with --set (the same task stands in 1 other place)"
    )
