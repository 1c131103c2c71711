"""Grades of single answers: where the answer stands is found, and how it is compared is said."""

from __future__ import annotations

from typing import Any

import pytest

import dunwu
from dunwu.errors import UserError


@pytest.mark.parametrize(
    ("completion", "gold", "kind", "right"),
    [
        (r"so \boxed{\frac{1}{2}}", "0.5", "math", True),
        (r"so \boxed{\frac{1}{3}}", "0.5", "math", False),
        ("<think>2+3=5</think> <answer>5</answer>", "5", "math", True),
        ("5", "5", "math", True),
        ("<answer>Paris</answer>", "paris", "text", True),
        ("<answer>Rome</answer>", "Paris", "text", False),
        ("", "5", "math", False),
    ],
)
def test_grades(completion: str, gold: str, kind: str, right: bool) -> None:
    score = dunwu.grade(completion, gold, kind=kind)
    assert score.parts["accuracy"] == float(right)
    assert score.status == "graded"


def test_an_expression_is_checked_against_its_numbers() -> None:
    assert (
        dunwu.grade("<answer>(3+5)*7</answer>", kind="expression", tests=["56", "3", "5", "7"]).parts["accuracy"] == 1
    )
    assert dunwu.grade("<answer>8*7</answer>", kind="expression", tests=["56", "3", "5", "7"]).parts["accuracy"] == 0


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(dunwu.UserError, match="no verifier grades problems of kind 'maths'"):
        dunwu.grade("5", "5", kind="maths")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"completion": None}, "completion: is NoneType, not a text"),
        ({"completion": "1", "gold": 1}, "gold: is int, not a text"),
        ({"completion": "1", "answer_in": "box"}, "answer_in: 'box' is none of answer-tag, boxed, last-line, summary"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        dunwu.grade(**arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "tests", "message"),
    [
        ("expression", (), "tests: an expression is checked against its target and at least one number"),
        ("code", ("zzz",), "tests: a test is none: 'zzz' is no JSON"),
    ],
)
def test_checks_that_are_none_are_refused(kind: str, tests: tuple[str, ...], message: str) -> None:
    with pytest.raises(dunwu.UserError, match=message):
        dunwu.grade("<answer>1+1</answer>", kind=kind, tests=tests)
