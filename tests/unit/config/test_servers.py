"""Models behind servers in a recipe: what they are called, and which addresses are none."""

from __future__ import annotations

from typing import Any

import pytest

from dunwu.config.loader import made_recipe
from dunwu.config.plan import make_plan
from dunwu.config.schema import EvalStage, ServerSpec, is_server, served, told_as
from dunwu.errors import UserError


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
    assert told_as(source) == name
    assert is_server(source) == source.startswith("http")


def test_a_server_is_asked_as_the_stage_says() -> None:
    stage = made_recipe(tree("http://h:1/v1#a/b"), ["stages.e.server.at_once=3"]).stages["e"]
    assert isinstance(stage, EvalStage)
    found = served(stage.models[0], stage.server)
    assert (found.url, found.model, found.at_once) == ("http://h:1/v1", "a/b", 3)
    assert stage.named == {"b": "http://h:1/v1#a/b"}


@pytest.mark.parametrize(
    ("models", "told"),
    [
        (["http://h:1/v1"], r"stages\.e\.models\.0: 'http://h:1/v1' says no model: write http://h:1/v1#NAME"),
        (["http://h:99999/v1#m"], r"stages\.e\.models\.0: .* is no address of a server"),
        (["http:// h/v1#m"], "is no address of a server"),
        (["http://h/v1#m", "http://g/v1#m"], r"stages\.e\.models\.1: 'm' is the name of an earlier model"),
        (["http://h/v1#trained"], "'trained' cannot name an evaluation"),
        (["http://h/v1#::"], "'' cannot name an evaluation"),
    ],
)
def test_what_is_no_server_is_told_with_its_field(models: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        made_recipe(tree(*models))


def test_a_plan_knows_nothing_of_a_server_s_size() -> None:
    planned = make_plan(made_recipe(tree("http://h:1/v1#m"), ["stages.e.max_new_tokens=9"]))
    assert planned.problems == ()
    assert planned.stages[0].parameters is None
    assert served("http://h:1/v1#m", ServerSpec()).timeout_seconds == 120.0
