"""Models behind servers in a recipe: what they are called, and which addresses are none."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from dunwu.config.loader import validate_recipe
from dunwu.config.schema import EvalStage, ServerSpec, display_names, is_server, parse_server
from dunwu.errors import UserError
from dunwu.planning import make_plan


def tree(*models: str) -> dict[str, Any]:
    sets = [{"name": "s", "task": {"task": "countdown"}, "problems": 5, "samples": 2}]
    return {"name": "r", "stages": {"e": {"kind": "eval", "models": list(models), "sets": sets}}}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("http://127.0.0.1:8000/v1#Qwen/Qwen3-8B", "Qwen3-8B"),
        ("https://host/v1#llama3:8b", "llama3-8b"),
        ("http://host/v1#m", "m"),
        ("/runs/first/stages/zero/model", "first-zero"),
        ("/models/model", "model"),
        ("Qwen/Qwen3-8B", "Qwen3-8B"),
        ("nano-base", "nano-base"),
    ],
)
def test_a_model_is_told_by_the_last_part_of_its_name(source: str, name: str) -> None:
    assert display_names([source]) == [name]
    assert is_server(source) == source.startswith("http")


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["m/模型 with spaces"], ["模型-with-spaces"]),
        (["/a/checkpoint-500", "/b/checkpoint-500", "/c"], ["a-checkpoint-500", "b-checkpoint-500", "c"]),
        (["/a/ckpt/500", "/b/ckpt/500", "/b/ckpt/600"], ["a-ckpt-500", "b-ckpt-500", "600"]),
        (["/x/a/m", "/x/b/m", "/x/a-m"], ["x-a-m", "b-m", "x-a-m-2"]),
        (["/m", "/a/m"], ["m", "a-m"]),
        (["/models/base", "/models/step-7", "./trained/"], ["models-base", "models-step-7", "trained"]),
        (["/a b/m", "/a-b/m"], ["a-b-m", "a-b-m-2"]),
        (["/a/!!!", "/模型/!?", "/!"], ["a", "模型", "model"]),
        (["http://h:1/v1#q/m", "http://g/v1/#q/m", "q/m"], ["h-1-q-m", "g-q-m", "q-m"]),
        (["http://h/v1#trained"], ["h-trained"]),
        (["/r/one/stages/zero/model", "/s/one/stages/zero/model"], ["r-one-zero", "s-one-zero"]),
        (["/a/m", "/a/m"], ["m", "m"]),
        (["/a/" + "模" * 90, "/b/" + "模" * 90 + "x"], ["模" * 80, "模" * 80 + "-2"]),
        ([".cache", "-f", "+x+"], ["cache", "f", "x"]),
    ],
)
def test_models_are_told_apart(sources: list[str], names: list[str]) -> None:
    assert display_names(sources) == names
    assert display_names(sources[::-1])[::-1] == names or names[-1].endswith("-2")


def test_names_of_any_folders_differ_and_name_files() -> None:
    rng = random.Random(0)
    parts = ["a", "b", "模型", "x y", "..", "-", "m", "stages", "model", "base", "step-1", "a-b", "é", "\udcff"]
    for _ in range(300):
        sources = list({"/" + "/".join(rng.choices(parts, k=rng.randint(1, 5))) for _ in range(6)})
        names = display_names(sources)
        assert len(set(names)) == len(sources)
        assert all(re.fullmatch(r"\w[\w.+-]*", name) for name in names)


def test_a_server_is_asked_as_the_stage_says() -> None:
    stage = validate_recipe(tree("http://h:1/v1#a/b"), ["stages.e.server.concurrency=3"]).stages["e"]
    assert isinstance(stage, EvalStage)
    found = parse_server(stage.models[0], stage.server)
    assert (found.url, found.model, found.concurrency) == ("http://h:1/v1", "a/b", 3)
    assert stage.named == {"b": "http://h:1/v1#a/b"}


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (["http://h:1/v1"], r"stages\.e\.models\.0: 'http://h:1/v1' says no model: write http://h:1/v1#NAME"),
        (["http://h:99999/v1#m"], r"stages\.e\.models\.0: .* is no address of a server"),
        (["http:// h/v1#m"], "is no address of a server"),
        (["http://h/v1#m", "http://h/v1#m"], r"stages\.e\.models\.1: 'm' is the name of an earlier model"),
        (["/trained"], "'trained' cannot name an evaluation"),
    ],
)
def test_what_is_no_server_is_told_with_its_field(models: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        validate_recipe(tree(*models))


def test_a_plan_knows_nothing_of_a_server_s_size() -> None:
    planned = make_plan(validate_recipe(tree("http://h:1/v1#m"), ["stages.e.max_new_tokens=9"]))
    assert planned.problems == ()
    assert planned.stages[0].parameters is None
    assert parse_server("http://h:1/v1#m", ServerSpec()).timeout_seconds == 120.0
