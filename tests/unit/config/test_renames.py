"""Fields that have new names: the old ones are refused with the new, and old recipes of runs are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dunwu.config.loader import dump_recipe, load_recipe, validate_recipe
from dunwu.config.schema import Recipe
from dunwu.config.schema.renames import RENAMED, upgrade_recipe
from dunwu.errors import UserError

OLD: dict[str, Any] = {
    "name": "old",
    "data": {"slots": {"path": "/tmp/x.jsonl", "fields": {"own": "messages"}}},
    "stages": {
        "called": {
            "kind": "rl",
            "from": "nano-base",
            "steps": 16,
            "tasks": [{"task": "file", "called": "mine", "path": "/tmp/x.jsonl", "fields": {"problem": "reads"}}],
            "rollout": {"similar": 0.5, "similar_bounds": [0.1, 0.9], "slots": 8, "longer_from": {"8": 70000}},
            "reward": {
                "own": [{"name": "similar", "file": "/tmp/own.py", "function": "own"}],
                "models": [{"name": "m", "from": "a/b", "reads": "all", "gives": "score"}],
                "tasks": {"mine": {"similar": 0.5}},
            },
            "algorithm": {"sampler_gap_warning": 0.1, "sampler_gap_stop": 0.3},
        },
        "own": {
            "kind": "reject",
            "from": "called",
            "tasks": [{"task": "countdown"}],
            "questions": 4,
            "slots": 8,
            "readable": {"paragraph": 9},
            "judge": {"by": "own", "file": "/tmp/own.py", "function": "reads"},
        },
        "learns": {"kind": "reward_model", "from": "called", "data": ["slots"], "learns": "pairs", "reads": "all"},
        "eval": {
            "kind": "eval",
            "models": ["called"],
            "sets": [{"name": "own", "task": {"task": "countdown"}}],
            "own": [{"name": "gives", "file": "/tmp/own.py"}],
            "referee": {"url": "http://h/v1", "model": "own", "at_once": 3},
        },
    },
}


def test_a_recipe_of_an_old_run_is_read() -> None:
    stages = Recipe.model_validate_json(json.dumps(upgrade_recipe(OLD)), strict=True).model_dump(by_alias=True)[
        "stages"
    ]
    assert list(stages) == list(OLD["stages"]), "names that the recipe gives stay"
    zero = stages["called"]
    assert zero["tasks"][0]["display_name"] == "mine"
    assert zero["tasks"][0]["fields"] == {"problem": "reads"}
    assert zero["rollout"]["curriculum"] == 0.5
    assert zero["rollout"]["curriculum_bounds"] == (0.1, 0.9)
    assert (zero["rollout"]["max_sequences"], zero["rollout"]["length_schedule"]) == (8, {8: 70000})
    assert (zero["reward"]["custom"][0]["name"], zero["reward"]["models"][0]["input"]) == ("similar", "all")
    assert zero["reward"]["tasks"]["mine"].keys() == {"similar"}
    assert zero["algorithm"]["logprob_difference_warning"] == 0.1
    assert (stages["own"]["judge"]["by"], stages["own"]["answer_filter"]["paragraph"]) == ("custom", 9)
    assert (stages["learns"]["learn_from"], stages["learns"]["input"]) == ("pairs", "all")
    assert stages["eval"]["benchmark_judge"] | {"concurrency": 3, "model": "own"} == stages["eval"]["benchmark_judge"]


def test_a_recipe_of_today_stays_as_it_is(write: Callable[..., Path]) -> None:
    recipe = json.loads(dump_recipe(load_recipe(write())))
    assert upgrade_recipe(recipe) == recipe


def test_no_new_name_is_an_old_one() -> None:
    assert not RENAMED.keys() & set(RENAMED.values())


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("stages.zero.rollout.slots=4", "--set stages.zero.rollout.slots=4: is now called max_sequences"),
        ("stages.zero.reward.own=[]", "--set stages.zero.reward.own=[]: is now called custom"),
        ("stages.zero.tasks.1.called=x", "--set stages.zero.tasks.1.called=x: is now called display_name"),
    ],
)
def test_an_old_name_is_refused_with_the_new_one(write: Callable[..., Path], override: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), [override])
    assert str(caught.value) == line


def test_an_old_value_is_refused_with_the_new_one() -> None:
    tree = json.loads(json.dumps(OLD)) | {"stages": {"own": OLD["stages"]["own"] | {"from": "nano-base"}}}
    tree = upgrade_recipe(tree)
    tree["stages"]["own"]["judge"]["by"] = "own"
    with pytest.raises(UserError, match=r"^stages\.own\.judge\.by: own is now called custom$"):
        validate_recipe(tree)


def test_the_recipe_of_an_old_run_runs_again(tmp_path: Path) -> None:
    old = {"name": "x", "stages": {"e": OLD["stages"]["eval"] | {"models": ["nano-base"], "own": []}}}
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(old))
    assert load_recipe(path).stages["e"].kind == "eval"
