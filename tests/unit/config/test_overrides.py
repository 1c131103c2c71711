"""``--set``: values, paths, and errors that name the override."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dunwu.config.loader import load_recipe
from dunwu.config.overrides import apply_override, parse_override, parse_value
from dunwu.config.schema import RLStage
from dunwu.errors import UserError

Write = Callable[..., Path]
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)


def toml(value: object) -> str:
    """Scalars and lists read the same in JSON and in TOML."""
    return json.dumps(value)


@given(SCALARS | st.lists(SCALARS, max_size=4))
def test_a_toml_value_keeps_its_type(value: object) -> None:
    parsed = parse_value(toml(value))
    assert parsed == value
    assert type(parsed) is type(value)


@given(st.text(max_size=30))
def test_any_text_is_a_value(text: str) -> None:
    """Nothing raises, and what is no TOML value comes back as it was."""
    value = parse_value(text)
    assert isinstance(value, bool | int | float | str | list | dict)
    if isinstance(value, str) and not text.strip().startswith(('"', "'")):
        assert value == text


@pytest.mark.parametrize(
    "text", ["Qwen/Qwen2.5-0.5B", "./model", "nano-base", "2024-01-01", "1\nb = 2", "", "a b", "1.2.3"]
)
def test_what_is_no_toml_value_is_a_bare_string(text: str) -> None:
    assert parse_value(text) == text


@given(path=st.lists(NAMES, min_size=1, max_size=5), value=SCALARS, beside=st.integers())
def test_an_override_sets_its_path_and_nothing_else(path: list[str], value: object, beside: int) -> None:
    tree: dict[str, object] = {"other field": beside, "list": [{"x": beside}]}
    if path[0] in ("list", "stages"):
        path = ["q", *path]
    apply_override(tree, parse_override(f"{'.'.join(path)}={toml(value)}"))
    here: object = tree
    for part in path:
        assert isinstance(here, dict)
        here = here[part]
    assert here == value
    del tree[path[0]]
    assert tree == {"other field": beside, "list": [{"x": beside}]}


def test_overrides_reach_lists_and_the_last_one_wins(write: Write) -> None:
    changes = ["stages.zero.tasks.0.levels=[4, 5]", "stages.zero.steps=8", "stages.zero.steps=16", "seed = 3"]
    recipe = load_recipe(write(), [*changes, "stages.zero.rollout.length_schedule={8=128}"])
    stage = recipe.stages["zero"]
    assert isinstance(stage, RLStage)
    assert (stage.tasks[0].levels, stage.steps, recipe.seed) == ((4, 5), 16, 3)
    assert stage.rollout.length_schedule == {8: 128}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stages.zero.steps", "an override is PATH=VALUE, e.g. stages.zero.steps=160"),
        ("stages..steps=1", "an override is PATH=VALUE, e.g. stages.zero.steps=160"),
        ("=1", "an override is PATH=VALUE, e.g. stages.zero.steps=160"),
        ("stages.zro.steps=1", "there is no stage 'zro'; did you mean zero?"),
        ("stages.qqq.steps=1", "there is no stage 'qqq'; there are: base, zero"),
        ("stages.new={}", "there is no stage 'new'; there are: base, zero"),
        ("stages.zero.stepz=1", "unknown field; did you mean steps?"),
        ("rollout.group_size=8", "rollout: unknown field; did you mean stages.zero.rollout?"),
        ("group_size=8", "unknown field; did you mean stages.zero.rollout.group_size?"),
        ("stages.zero.group_size=8", "unknown field; did you mean stages.zero.rollout.group_size?"),
        ("stages.zero.rolout.group_size=8", "stages.zero.rolout: unknown field; did you mean rollout?"),
        ("stages.zero.evaluation.sets.0.task.levls=[4]", "unknown field; did you mean levels?"),
        ("stages.base.transformer.head=4", "unknown field; did you mean heads?"),
        ("stages.zero.steps=many", 'must be a valid integer, not "many"'),
        ("stages.zero.rollout.temperature=hot", 'must be a valid number, not "hot"'),
        ("stages.zero.tasks.2.levels=[3]", "stages.zero.tasks has 2 entries, counted from 0: there is no '2'"),
        ("stages.zero.tasks.first.levels=[3]", "stages.zero.tasks has 2 entries, counted from 0: there is no 'first'"),
        ("stages.zero.tasks.0.levels.7=3", "stages.zero.tasks.0.levels has 1 entries, counted from 0: there is no '7'"),
        ("stages.zero.steps.more=3", "stages.zero.steps is no table: it has no field more"),
        ("stages.zero.steps.more.still=3", "stages.zero.steps is no table: it has no field more"),
        ("stages.zero.rollout.temperature=0", "0 makes all 4 completions of a group equal, so no advantage is left; "),
    ],
)
def test_a_wrong_override_is_named(write: Write, text: str, line: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), ["seed=1", text])
    assert str(caught.value).startswith(f"--set {text}: {line}")
