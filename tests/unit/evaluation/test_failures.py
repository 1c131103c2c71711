"""Evaluations in which the verifier failed on some responses: what still counts, and under which name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dunwu.evaluation.evaluate import summarize, to_rows
from dunwu.types import Completion, Message, Problem, Prompt, RolloutGroup, Score, ScoredGroup


def group(name: str, marks: Sequence[float | None]) -> ScoredGroup:
    """One response for each mark: right (1), wrong (0), or not graded (None); the answer is the mark."""
    question = (Message(role="user", content="?"),)
    problem = Problem(id=name, task="t", kind="text", level=1, language="en", messages=question, gold="1.0")
    completions = tuple(
        Completion(
            token_ids=np.zeros(2, np.int32),
            logprobs=np.zeros(2, np.float32),
            text=f"{name} {k}",
            finish="stop",
        )
        for k in range(len(marks))
    )
    scores = tuple(
        Score(
            value=mark or 0.0,
            parts={"accuracy": mark or 0.0, "format": 1.0},
            status="verifier_failed" if mark is None else "graded",
            extracted=str(mark),
            reason="",
        )
        for mark in marks
    )
    prompt = Prompt(problem=problem, token_ids=np.zeros(1, np.int32))
    return ScoredGroup(group=RolloutGroup(prompt=prompt, completions=completions), scores=scores)


def test_rows_keep_the_number_of_their_sample() -> None:
    written = to_rows([group("a", [0.0, None, 1.0]), group("b", [None, None, 1.0])])
    assert [(row.problem_id, row.index, row.right, row.completion) for row in written] == [
        ("a", 0, 0, "a 0"),
        ("a", 2, 1, "a 2"),
        ("b", 2, 1, "b 2"),
    ]


def test_problems_with_fewer_samples_are_left_out_of_pass_at_k() -> None:
    # Of two problems with all three samples one is reached; the third had two tries, both wrong.
    results = summarize([group("a", [0.0, 1.0, 1.0]), group("b", [0.0, 0.0, 0.0]), group("c", [0.0, None, 0.0])], 3)
    assert results["pass@1"].value == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert results["pass@3"].value == pytest.approx(1 / 2)
    assert results["cons@3"].value == pytest.approx(1 / 2)
    assert results["length"].value == 2.0


def test_pass_at_k_is_left_out_where_no_problem_has_k_samples() -> None:
    results = summarize([group("a", [1.0, None])], 2)
    assert results["pass@1"].value == 1.0
    assert not {"pass@2", "cons@2"} & results.keys()
