"""Verifiers in a user's file: what they decide, and what becomes of their processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader

MakeProblem = Callable[..., Problem]
MakeCompletion = Callable[..., Completion]
SOURCE = """
import os, time
def is_palindrome(problem, answer):
    if answer == "hang": time.sleep(60)
    if answer == "die": os._exit(1)
    if answer == "raise": raise ValueError(problem.gold)
    return answer == answer[::-1]
"""


@pytest.fixture
def kind(tmp_path: Path) -> str:
    file = tmp_path / "palindrome.py"
    file.write_text(SOURCE)
    return f"{file}:is_palindrome"


def test_a_function_of_a_file_decides(kind: str, problem: MakeProblem, completion: MakeCompletion) -> None:
    before = set(psutil.Process().children())
    with RewardGrader(RewardSpec(timeout_seconds=0.5)) as grader:
        scores = [
            grader.score(problem(kind, "g"), completion(f"<think>so</think><answer>{answer}</answer>"))
            for answer in ("abba", "abc", "hang", "die", "noon")
        ]
        assert set(psutil.Process().children()) - before
    assert not set(psutil.Process().children()) - before
    assert [score.status for score in scores] == ["graded", "graded", "verifier_failed", "verifier_failed", "graded"]
    assert [score.parts["accuracy"] for score in scores if score.status == "graded"] == [1.0, 0.0, 1.0]
    assert "died or took longer than 0.5 s, twice" in scores[2].reason


def test_a_function_that_raises_ends_the_run(kind: str, problem: MakeProblem, completion: MakeCompletion) -> None:
    with RewardGrader(RewardSpec()) as grader, pytest.raises(UserError, match=r"palindrome\.py") as caught:
        grader.score(problem(kind, "g"), completion("<answer>raise</answer>"))
    assert "is_palindrome raised ValueError: g (line 6) on problem p" in str(caught.value)


def test_a_file_that_defines_no_such_function_ends_the_run(
    kind: str, problem: MakeProblem, completion: MakeCompletion
) -> None:
    with RewardGrader(RewardSpec()) as grader, pytest.raises(UserError, match=r"palindrome\.py") as caught:
        grader.score(problem(f"{kind}s", "g"), completion("<answer>x</answer>"))
    assert "cannot be loaded: ImportError: defines no is_palindromes" in str(caught.value)
