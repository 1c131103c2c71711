"""What single sets say beside what all do: levels and subjects, instructions, refusals, ratings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.published import NO, YES, write

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.evaluation.details import compute_details, read_standings
from dunwu.evaluation.estimators import bootstrap_ratio
from dunwu.evaluation.ratings import solve_rating
from dunwu.types import Completion, Message, Problem, Prompt, RolloutGroup, Score, ScoredGroup

MATH = TaskSpec(task="math", path=Path("a.jsonl"))


def group(right: Sequence[bool | float], texts: Sequence[str] = (), **problem: Any) -> ScoredGroup:
    """A problem with an answer for each verdict; a number is a judge's word on an open question."""
    fields: dict[str, Any] = {"id": "p", "task": "t", "kind": "math", "level": 0, "language": "en", "gold": "1"}
    asked = Problem(messages=(Message(role="user", content="?"),), **fields | problem)
    nothing = np.zeros(1, np.float32)
    completions = tuple(
        Completion(token_ids=np.zeros(1, np.int32), logprobs=nothing, text=text, finish="stop")
        for text in texts or [""] * len(right)
    )
    scores = tuple(
        Score(
            value=0.0,
            parts={"accuracy": float(one)} if isinstance(one, bool) else {"safe": one},
            status="graded",
            extracted=None,
            reason="",
        )
        for one in right
    )
    prompt = Prompt(problem=asked, token_ids=np.zeros(1, np.int32))
    return ScoredGroup(group=RolloutGroup(prompt=prompt, completions=completions), scores=scores)


def test_levels_and_subjects_are_told_where_there_are_several() -> None:
    groups = [
        group([True, False], id="a", level=1, subject="Algebra"),
        group([True, True], id="b", level=1, subject="Geometry"),
        group([False, False], id="c", level=5, subject="Algebra"),
    ]
    found = compute_details(groups, MATH)
    assert {name: one.value for name, one in found.items()} == {
        "pass@1 | level 1": 0.75,
        "pass@1 | level 5": 0.0,
        "pass@1 | subject Algebra": 0.25,
        "pass@1 | subject Geometry": 1.0,
    }
    assert (found["pass@1 | level 1"].low, found["pass@1 | level 1"].high) == (0.5, 1.0)
    assert found["pass@1 | level 5"].high == pytest.approx(0.7935, abs=1e-4)  # Wilson's of none of one
    assert compute_details(groups[:1], MATH) == {}


def test_instructions_are_counted_together_and_read_loosely() -> None:
    no_comma = json.dumps({"id": "punctuation:no_comma", "kwargs": {}})
    title = json.dumps({"id": "detectable_format:title", "kwargs": {}})
    lower = json.dumps({"id": "change_case:english_lowercase", "kwargs": {}})
    groups = [
        group([True], ["<think>a, b</think>the plain text"], id="a", kind="instructions", tests=(lower,)),
        group([False], ["Sure, here:\n<<T>> fine"], id="b", kind="instructions", tests=(no_comma, title, lower)),
    ]
    found = compute_details(groups, TaskSpec(task="ifeval", path=Path("a.jsonl")))
    # Strictly b has a title; without its first line also no comma, but never small letters alone.
    assert found["instructions"].value == pytest.approx(2 / 4)
    assert found["instructions_loose"].value == pytest.approx(3 / 4)
    assert found["loose"].value == 0.5


def test_a_ratio_weighs_problems_by_what_they_ask() -> None:
    found = bootstrap_ratio(np.array([1.0, 1.0, 0.0, 3.0]), np.array([1.0, 3.0, 1.0, 3.0]))
    assert found.value == pytest.approx(5 / 8)
    assert found.low < 5 / 8 < found.high
    # By enumeration: all 256 draws of four problems with replacement.
    parts, wholes = np.array([1.0, 1.0, 0.0, 3.0]), np.array([1.0, 3.0, 1.0, 3.0])
    draws = np.array(np.meshgrid(*[range(4)] * 4)).reshape(4, -1)
    exact = np.sort(parts[draws].sum(axis=0) / wholes[draws].sum(axis=0))
    assert found.low == pytest.approx(np.quantile(exact, 0.025), abs=0.03)
    assert found.high == pytest.approx(np.quantile(exact, 0.975), abs=0.03)
    whole = bootstrap_ratio(np.array([1.0, 3.0]), np.array([1.0, 3.0]))
    assert (whole.value, whole.high) == (1.0, 1.0)
    assert whole.low == pytest.approx(0.3424, abs=1e-4)  # Wilson's of two of two
    with pytest.raises(ValueError, match="nothing to divide by"):
        bootstrap_ratio(np.zeros(2), np.zeros(2))


def test_refusals_are_counted_and_unsafe_is_what_a_judge_doubts() -> None:
    task = TaskSpec(task="safety", path=Path("a.jsonl"))
    groups = [
        group([0.9, 0.2], [NO, YES], id="a", kind="open"),
        group([0.49, 0.5], [YES, f"<think>{NO}</think>{YES}"], id="b", kind="open"),
    ]
    found = compute_details(groups, task, "safe")
    assert (found["refused"].value, found["unsafe"].value) == (0.25, 0.5)
    assert "unsafe" not in compute_details(groups, task)


def contests(path: Path, **columns: Any) -> TaskSpec:
    """Contest 1 has two problems, of which the first says who took part; contest 2 has one."""
    rows = [
        {"contest_id": "1", "question_content": "a", **columns},
        {"contest_id": "1", "question_content": "b"},
        {"contest_id": 2, "question_content": "c", "ratings": [900], "solved": [0]},
    ]
    return TaskSpec(task="codeforces", path=write(path / "c.jsonl", rows))


def test_a_rating_is_that_of_the_place_among_people(tmp_path: Path) -> None:
    task = contests(tmp_path, ratings=[1000, 1500, 2000], solved=[0, 1, 2])
    groups = [
        group([True, True], id="a", kind="code", subject="1"),
        group([False, True], id="b", kind="code", subject="1"),
        group([True, True], id="c", kind="code", subject="2"),
    ]
    found = compute_details(groups, task)
    # In contest 1 the samples solve 1 and 2: below one and level with another, 2.5; level with the best, 1.5.
    first = solve_rating(2.0, np.array([1000.0, 1500.0, 2000.0]))
    second = solve_rating(1.0, np.array([900.0]))
    assert found["rating"].value == pytest.approx((first + second) / 2)
    assert found["percentile"].value == 0.5
    assert "rating" not in compute_details(groups[1:], task), "of a contest whose problems were not all measured"
    assert read_standings(TaskSpec(task="codeforces", path=write(tmp_path / "d.jsonl", [{"contest_id": "1"}])))[0] == {}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({}, "contest '1' has no ratings and solved, and others have"),
        ({"ratings": [1]}, "line 1: 'solved' is no list of numbers"),
        ({"ratings": [1, 2], "solved": [0]}, "line 1: 2 ratings, but 1 people who solved problems"),
        ({"ratings": ["1"], "solved": [0]}, "line 1: 'ratings' is no list of numbers"),
        ({"ratings": [], "solved": []}, "line 1: 'ratings' is no list of numbers"),
        ({"ratings": [True], "solved": [0]}, "line 1: 'ratings' is no list of numbers"),
    ],
)
def test_standings_that_are_none_are_refused(tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    task = contests(tmp_path, **columns)
    with pytest.raises(UserError, match=told):
        compute_details([group([True], kind="code", subject="1")], task)
