"""Absurd numbers: a line that names the field, whatever number of a recipe it is; never a fault, no end, no memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dunwu.config.check_amounts import MOST_COMPLETIONS
from dunwu.config.loader import dump_recipe, load_recipe, validate_recipe
from dunwu.config.schema import Recipe
from dunwu.errors import UserError
from dunwu.planning import make_plan

RECIPES = Path(__file__).parents[3] / "recipes"
ABSURD = [10**6, 10**12, 10**40, 1e300]

Path_ = tuple[str | int, ...]


def numbers(tree: Any, place: Path_ = ()) -> Iterator[Path_]:
    """Where the numbers of a recipe stand."""
    if isinstance(tree, dict | list):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from numbers(value, (*place, name))
    elif type(tree) in (int, float):
        yield place


def changed(tree: dict[str, Any], place: Path_, value: float) -> dict[str, Any]:
    """The recipe with another number."""
    found: Any = copy.deepcopy(tree)
    top = found
    for name in place[:-1]:
        found = found[name]
    found[place[-1]] = value
    return dict(top)


@pytest.mark.parametrize("name", ["nano/base", "nano/ppo", "paper/r1"])
def test_any_number_of_a_recipe_may_be_absurd(name: str) -> None:
    """Either it is refused, in a line that names its table, or the plan is made with it."""
    file = RECIPES / f"{name}.toml"
    tree = json.loads(dump_recipe(load_recipe(file)))
    places = list(numbers(tree))
    assert len(places) > 15
    refused = [
        (place, error)
        for place in places
        for value in ABSURD
        if (error := planned(changed(tree, place, value), file)) is not None
    ]
    assert len(refused) > len(places)
    for place, error in refused:
        assert error.file == str(file)
        assert (error.field or "").split(".")[:2] == [str(part) for part in place[:2]]
        assert len(str(error)) < 500


def planned(tree: dict[str, Any], file: Path) -> UserError | None:
    """What a recipe is refused with; None where there is a plan of it."""
    try:
        json.dumps(make_plan(validate_recipe(tree, path=file), file=file).as_json())
    except UserError as error:
        return error
    return None


def test_every_whole_number_has_an_upper_bound() -> None:
    def unbounded(schema: Any) -> Iterator[Any]:
        if isinstance(schema, dict):
            if schema.get("type") == "integer" and not schema.keys() & {"maximum", "exclusiveMaximum", "enum", "const"}:
                yield schema
            for value in schema.values():
                yield from unbounded(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from unbounded(value)

    assert list(unbounded(Recipe.model_json_schema())) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stages.zero.steps=1000000000000", "must be less than or equal to 1000000000, not 1000000000000"),
        ("stages.zero.rollout.group_size=1000000", "must be less than or equal to 65536, not 1000000"),
        ("stages.zero.rollout.max_new_tokens=100000000", "must be less than or equal to 16777216, not 100000000"),
        ("seed=18446744073709551616", "must be less than 9223372036854775808, not 18446744073709551616"),
        ("stages.base.transformer.layers=100000", "must be less than or equal to 1024, not 100000"),
        (
            "stages.zero.rollout={questions = 1000000, group_size = 16}",
            f"1,000,000 x group_size = 16 makes 16,000,000 completions at once; {MOST_COMPLETIONS:,} at most",
        ),
        (
            "stages.base.transformer={hidden_size = 65536, layers = 8, heads = 8, kv_heads = 8, intermediate_size = 8}",
            "8 of hidden_size = 65,536 are 137,451,536,384 weights; 100,000,000,000 at most",
        ),
    ],
)
def test_an_absurd_number_is_refused_by_name(write: Callable[..., Path], setting: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), [setting])
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"--set {setting}: ")


def test_a_plan_of_many_rollouts_looks_at_few(write: Callable[..., Path]) -> None:
    """The hours of reward models grow with the steps, and the work of reckoning them does not."""
    recipe = load_recipe(write(), ["stages.zero.steps=1000000000", "stages.zero.reference_every=0"])
    (stage,) = (stage for stage in make_plan(recipe).stages if stage.name == "zero")
    assert stage.steps == 10**9
