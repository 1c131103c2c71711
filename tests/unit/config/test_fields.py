"""What the schema says of itself: every field is described, found by its path, and known to the JSON schema."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dunwu
from dunwu.config.fields import find_fields, list_fields, make_json_schema
from dunwu.config.files import read_recipe_file
from dunwu.errors import UserError

RECIPES = sorted((Path(dunwu.__file__).parent / "recipes").glob("*/*.toml"))


def paths(text: str) -> list[str]:
    return [field.path for field in find_fields(text)]


def test_every_field_is_described_in_a_sentence() -> None:
    described = {field.path: field.description for field in list_fields()}
    assert len(described) > 500
    short = [path for path, text in described.items() if len(text) < 12 or text[-1] not in ".)"]
    assert short == []


def test_no_path_stands_twice() -> None:
    found = [field.path for field in list_fields()]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", ["stages.rl.rollout.group_size", "stages.zero.rollout.group_size", "group_size"])
def test_a_field_is_found_by_kind_by_the_stages_own_name_and_by_its_end(name: str) -> None:
    (field,) = find_fields(name)
    assert (field.path, field.type, field.default) == ("stages.rl.rollout.group_size", "integer > 1, <= 65536", "16")


def test_places_in_lists_and_names_of_data_do_not_count() -> None:
    assert paths("stages.zero.tasks.0.levels") == ["stages.rl.tasks.levels", *paths("stages.x.tasks.1.levels")[1:]]
    assert paths("data.mine.quality") == ["data.NAME.quality"]


def test_a_table_comes_with_the_fields_directly_in_it() -> None:
    found = paths("stages.pretrain")
    assert found[0] == "stages.pretrain"
    assert "stages.pretrain.optimizer" in found
    assert "stages.pretrain.optimizer.lr" not in found
    assert paths("")[:2] == ["name", "seed"]


def test_defaults_are_those_of_the_place() -> None:
    defaults = {field.path: field.default for field in list_fields()}
    assert defaults["stages.rl.optimizer.lr"] == "3e-06"
    assert defaults["stages.pretrain.optimizer.lr"] == "0.003"
    assert defaults["stages.distil.optimizer.lr"] == "0.0001"
    assert defaults["stages.rl.steps"] == "required"
    assert defaults["stages.rl.reward.logic"] == "0.6"


def test_a_slip_gets_a_hint() -> None:
    with pytest.raises(UserError, match="no field 'group_sise'; did you mean group_size"):
        find_fields("group_sise")


def wrong(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str = "") -> Iterator[str]:
    """The places at which a value does not fit: the part of JSON schema that ours uses."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "discriminator" in schema:
        kind = schema["discriminator"]["mapping"][value["kind"]]
        yield from wrong(value, {"$ref": kind}, root, place)
        return
    if "anyOf" in schema:
        if not any(next(wrong(value, choice, root), None) is None for choice in schema["anyOf"]):
            yield place
        return
    types: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    kind = schema.get("type")
    if kind == "null" or (kind and not isinstance(value, types[kind])) or value not in schema.get("enum", [value]):
        yield place
    elif kind == "object":
        known = schema.get("properties", {})
        (more,) = schema.get("patternProperties", {"": schema.get("additionalProperties", False)}).values()
        yield from (f"{place}.{name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, entry in value.items():
            inner = known.get(name, more)
            if not isinstance(inner, dict):
                yield f"{place}.{name}"
            else:
                yield from wrong(entry, inner, root, f"{place}.{name}")
    elif kind == "array" and "items" in schema:
        for entry in value:
            yield from wrong(entry, schema["items"], root, f"{place}[]")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_json_schema_takes_every_recipe_that_ships(recipe: Path) -> None:
    schema, written = make_json_schema(), tomllib.loads(recipe.read_text(encoding="utf-8"))
    # A file that says only what is different is looked at together with the one that it extends.
    tree = read_recipe_file(recipe).tree if "extends" in written else written
    assert list(wrong(tree, schema, schema)) == []


def test_a_field_takes_what_becomes_another_value_too() -> None:
    field = next(field for field in list_fields() if field.path == "stages.rl.model.dtype")
    assert field.type == "auto | float32 | bfloat16"
    assert make_json_schema()["$defs"]["ModelSpec"]["properties"]["dtype"]["enum"] == ["auto", "float32", "bfloat16"]


def test_the_json_schema_knows_shared_tasks_weights_and_slips() -> None:
    schema = make_json_schema()
    stage: dict[str, Any] = {"kind": "rl", "from": "nano-base", "steps": 4, "tasks": ["mine"]}
    tree: dict[str, Any] = {
        "name": "x",
        "extends": "nano/r1-zero",
        "tasks": {"mine": {"task": "countdown"}},
        "stages": {"zero": stage},
    }
    stage["reward"] = {"accuracy": 1, "format": {"weight": 0.5, "until": 8}}
    assert list(wrong(tree, schema, schema)) == []
    stage["reward"] = {"accuracy": "much", "formal": 1}
    assert list(wrong(tree, schema, schema)) == [".stages.zero.reward.accuracy", ".stages.zero.reward.formal"]
    assert schema["$defs"]["RolloutSpec"]["properties"]["group_size"]["description"].startswith("Completions of each")
