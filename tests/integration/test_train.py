"""Training without a recipe: own problems and an own reward make an ordinary run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dunwu

PROBLEMS = [
    (f"Using the numbers {a}, {b}, {c}, make {a + b - c}.", str(a + b - c))
    for a in (5, 7)
    for b in (8, 9)
    for c in (2, 3)
]
SMALL: dict[str, Any] = {"rollout": {"questions": 4, "group_size": 4, "max_new_tokens": 24}, "optimizer": {"lr": 1e-3}}


def count_digits(problem: dunwu.Problem, text: str) -> float:
    """Pay for digits."""
    return sum(character.isdigit() for character in text) / 10


def test_a_python_function_rewards(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = dunwu.train("nano-base", PROBLEMS, reward=count_digits, rollouts=2, out=out, log="quiet", **SMALL)
    assert run.stages == {"train": "done"}
    table = run.answers().to_pylist()
    assert len(table) == 2 * 4 * 4
    assert all(row["value"] == row["part.count_digits"] == count_digits(None, row["completion"]) for row in table)  # type: ignore[arg-type]
    assert {row["prompt"] for row in table} <= {question for question, _ in PROBLEMS}
    assert dunwu.load(run).template == "nano"


def test_rules_reward_where_there_is_no_function(tmp_path: Path) -> None:
    run = dunwu.train("nano-base", PROBLEMS, rollouts=1, out=tmp_path / "run", log="quiet", **SMALL)
    assert {"part.accuracy", "part.format"} <= set(run.answers().column_names)


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(dunwu.UserError, match="there is nothing to learn from"):
        dunwu.train("nano-base", [], out=tmp_path / "run")
