"""A kind of stage of one's own that is none, or whose functions fail: one line that names the field of the recipe."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from dunwu import registry
from dunwu.config.issues import Issue
from dunwu.config.loader import validate_recipe
from dunwu.config.schema import StageInputs, StageSpec
from dunwu.config.stage_kind import StageKind
from dunwu.errors import UserError
from dunwu.planning import make_plan


class Sums(StageSpec):
    """A stage with one field."""

    count: int


class Broken(Sums):
    """A stage whose inputs cannot be read."""

    @property
    def inputs(self) -> StageInputs:
        """Fail."""
        raise KeyError("inputs")


class Empty(Sums):
    """A stage whose inputs are none."""

    @property
    def inputs(self) -> Any:
        """Return nothing."""


RECIPE = {"name": "own", "stages": {"sums": {"kind": "odd", "count": 1}}}
KIND: dict[str, Any] = {"schema": Sums, "summary": "Sums.", "makes": "data", "run": print}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.stages, "_entries", dict(registry.stages._entries))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema": dict}, "a StageKind has schema = <class 'dict'>, not a class that derives from StageSpec"),
        ({"schema": None}, "a StageKind has schema = None, not a class"),
        ({"makes": "dataa"}, "a StageKind has makes = 'dataa', not one of policy, scorer, data, results"),
        ({"run": None}, "a StageKind has run = None, not a function"),
        ({"plan": 3}, "a StageKind has plan = 3, not a function"),
        ({"check": None}, "a StageKind has check = None, not a function"),
        ({"defaults": 3}, "a StageKind has defaults = 3, not a dict"),
        ({"summary": None}, "a StageKind has summary = None, not a text"),
        ({"result": "{} of {}"}, "a StageKind has result = '{} of {}', not a text with at most one pair of braces"),
    ],
)
def test_a_kind_with_a_wrong_part_is_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        StageKind(**KIND | fields)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (3, "odd is int, not a StageKind"),
        (StageKind, "odd is type, not a StageKind"),
        (SimpleNamespace(schema=Sums, defaults={}), "odd is SimpleNamespace, not a StageKind"),
        (StageKind(**KIND | {"schema": Broken}), r"odd raised KeyError: 'inputs' \(test_stage_kind.py, line \d+\)"),
        (StageKind(**KIND | {"schema": Empty}), "the inputs of odd are None, no StageInputs"),
        (
            StageKind(**KIND | {"check": lambda stage, upstream: 1 / 0}),
            r"odd raised ZeroDivisionError: .*kind.py, line",
        ),
        (StageKind(**KIND | {"check": lambda stage, upstream: sys.exit(0)}), "odd raised SystemExit: 0"),
        (
            StageKind(**KIND | {"check": lambda stage, upstream: None}),
            "odd raised TypeError: 'NoneType' object",
        ),
        (StageKind(**KIND | {"check": lambda stage, upstream: ["bad"]}), "the check of odd gives 'bad', not an Issue"),
    ],
)
def test_what_is_no_kind_or_fails_is_said_of_its_field(kind: Any, message: str) -> None:
    registry.stages.register("odd")(kind)
    with pytest.raises(UserError, match=f"^stages.sums.kind: {message}"):
        validate_recipe(RECIPE)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (lambda stage, context: 1 / 0, r"odd raised ZeroDivisionError: division by zero \(test_stage_kind.py, line"),
        (lambda stage, context: None, "the plan of odd gives None, not a StagePlan"),
    ],
)
def test_a_plan_that_fails_is_an_issue(plan: Any, message: str) -> None:
    registry.stages.register("odd")(StageKind(**KIND, plan=plan))
    (problem,) = make_plan(validate_recipe(RECIPE)).problems
    assert problem.field == "stages.sums.kind"
    with pytest.raises(UserError, match=message):
        raise problem


def test_a_check_says_what_is_wrong_between_fields() -> None:
    kind: StageKind[Sums] = StageKind(**KIND, check=lambda stage, upstream: [Issue("count", "too many")])
    registry.stages.register("odd")(kind)
    with pytest.raises(UserError, match=r"^stages.sums.count: too many"):
        validate_recipe(RECIPE)
