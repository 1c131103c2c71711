"""Recipes that ship: by name from anywhere, files before names, one line each."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.config.loader import load_recipe
from dunwu.config.packaged import PACKAGED_FILES, find_recipe_file, list_packaged_recipes, read_recipe_summary
from dunwu.config.schema import RLStage
from dunwu.errors import UserError

ON_A_LINE = 50
"""Letters beside the longest name, of 80 columns."""


def test_a_name_is_a_recipe_anywhere_and_a_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = list_packaged_recipes()["nano/r1-zero"]
    assert shipped.is_file()
    for text in ("nano/r1-zero", "nano/r1-zero.toml", "recipes/nano/r1-zero.toml"):
        assert find_recipe_file(text) == shipped
    (tmp_path / "nano").mkdir()
    (tmp_path / "nano" / "r1-zero.toml").write_text("name = 'mine'\n")
    assert find_recipe_file("nano/r1-zero.toml") == Path("nano/r1-zero.toml")
    assert find_recipe_file("nano/r1-zero") == shipped


def test_what_is_neither_is_told_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nano/r1zero: no such file, and no recipe .* did you mean nano/r1-zero"):
        find_recipe_file("nano/r1zero")
    assert find_recipe_file("mine.toml") == Path("mine.toml")


@pytest.mark.parametrize(("name", "path"), list_packaged_recipes().items())
def test_every_recipe_says_in_a_sentence_what_it_is(name: str, path: Path) -> None:
    summary = read_recipe_summary(path)
    assert 20 < len(summary) <= ON_A_LINE, (name, summary)
    assert summary[-1] == "."


@pytest.mark.parametrize("name", [name for name in list_packaged_recipes() if name.startswith("laptop/")])
def test_a_laptop_recipe_begins_from_a_model_that_an_extra_brings(name: str) -> None:
    stages = load_recipe(list_packaged_recipes()[name]).stages
    sources = {model.source for stage in stages.values() for model in stage.inputs.models}
    assert sources - stages.keys() <= PACKAGED_FILES.keys()
    assert sources - stages.keys()


def test_the_demo_of_a_real_model_measures_levels_that_it_never_draws() -> None:
    stage = load_recipe(list_packaged_recipes()["laptop/smollm2-arithmetic"]).stages["zero"]
    assert isinstance(stage, RLStage)
    (drawn,) = stage.tasks
    same, *others = stage.evaluation.sets
    assert (same.task.task, same.task.levels, same.problems) == (drawn.task, drawn.levels, 300)
    assert all((other.task.task, other.task.levels) != (drawn.task, drawn.levels) for other in others)
    assert stage.prompt.template.startswith("Question: Compute 12 + 30.")
    assert stage.prompt.template.endswith("Question: {prompt}\n<think>")
