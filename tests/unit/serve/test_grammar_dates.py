"""Dates under a grammar are days that there are."""

from __future__ import annotations

import json
import re
from calendar import isleap
from typing import Any

import pytest

from dunwu.serve.chat_model import ChatModel
from dunwu.serve.grammar import Grammars
from dunwu.serve.records import Format
from dunwu.serve.schema_checks import DATE, prepare_schema


@pytest.fixture(scope="module")
def grammars(model: ChatModel) -> Grammars:
    return Grammars(model.policy.tokenizer, model.policy.eos_ids, model.rows)


def accepts(model: ChatModel, grammars: Grammars, schema: dict[str, Any], value: str) -> bool:
    """Whether a text can be written under a schema, token by token."""
    grammar = grammars.compile(Format(kind="json_schema", value=schema))
    core = model.policy.tokenizer.backend_tokenizer
    for token_id in core.encode(json.dumps(value), add_special_tokens=False).ids:
        if grammar.refuse(token_id, 100) is not None:
            return False
        grammar.advance(token_id)
    return True


def test_february_has_a_29th_day_in_leap_years() -> None:
    found = [year for year in range(10_000) if re.match(DATE, f"{year:04}-02-29")]
    assert found == [year for year in range(1, 10_000) if isleap(year)]
    assert all(re.match(DATE, f"{year:04}-02-28") for year in range(1, 10_000))


@pytest.mark.parametrize(
    ("day", "is_one"),
    [
        ("2024-02-29", True),
        ("2000-02-29", True),
        ("2023-02-29", False),
        ("1900-02-29", False),
        ("2023-02-28", True),
        ("2024-02-30", False),
        ("0000-01-01", False),
        ("0001-12-31", True),
        ("2023-10-31", True),
        ("2023-11-31", False),
    ],
)
@pytest.mark.parametrize("more", [{}, {"pattern": "^[0-9]"}, {"allOf": [{"minLength": 1}], "pattern": "-"}])
def test_a_date_is_a_day_that_there_is(
    model: ChatModel, grammars: Grammars, day: str, is_one: bool, more: dict[str, Any]
) -> None:
    assert accepts(model, grammars, {"type": "string", "format": "date", **more}, day) == is_one
    assert accepts(model, grammars, {"type": "string", "format": "date-time", **more}, f"{day}T10:00:00Z") == is_one


def test_other_values_and_names_are_left_alone() -> None:
    schema = {"properties": {"format": {"const": {"format": "date"}}, "b": {"format": "time"}}}
    assert prepare_schema(schema) == schema
    assert prepare_schema({"items": {"format": "date"}}) == {"items": {"format": "date", "pattern": DATE}}
