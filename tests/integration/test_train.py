"""Training without a recipe: own problems and an own reward make an ordinary run directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dunwu
from dunwu import registry
from dunwu.analysis.next_steps import suggest_next_steps
from dunwu.analysis.run_description import describe_run
from dunwu.runs import RunReader

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


def test_a_training_leaves_no_names_and_its_run_can_be_read_without_them(tmp_path: Path) -> None:
    before = registry.tasks.names(), registry.rewards.names()
    out = tmp_path / "run"
    run = dunwu.train("nano-base", PROBLEMS, reward=count_digits, rollouts=1, out=out, log="quiet", **SMALL)
    assert (registry.tasks.names(), registry.rewards.names()) == before
    assert dunwu.report(run).is_file()
    assert "count_digits" in run._repr_html_()
    found = RunReader(out)
    assert [advice.command.split()[1] for advice in suggest_next_steps(found)] == ["watch"]
    assert "The problems are problems (English, of your own), and" in describe_run(found.recipe)[1]


def test_a_training_goes_on_with_the_same_problems_and_reward_only(tmp_path: Path) -> None:
    def train(problems: list[tuple[str, str]], reward: Callable[[dunwu.Problem, str], float]) -> dunwu.Run:
        out = tmp_path / "run"
        return dunwu.train("nano-base", problems, reward=reward, rollouts=1, out=out, resume=True, log="quiet", **SMALL)

    dunwu.train("nano-base", PROBLEMS, reward=count_digits, rollouts=1, out=tmp_path / "run", log="quiet", **SMALL)
    assert train(PROBLEMS, count_digits).stages == {"train": "done"}
    with pytest.raises(dunwu.UserError, match="reward"):
        train(PROBLEMS, lambda problem, text: 1.0)
    with pytest.raises(dunwu.UserError, match="tasks"):
        train(PROBLEMS[1:], count_digits)


class Constant:
    """A reward that has no name."""

    def __call__(self, problem: dunwu.Problem, text: str) -> float:
        return 0.5


def reward(problem: dunwu.Problem, text: str) -> float:
    return 0.5


def accuracy(problem: dunwu.Problem, text: str) -> float:
    return 0.5


@pytest.mark.parametrize(
    ("function", "name"), [(Constant(), "custom"), (reward, "custom-reward"), (accuracy, "custom-accuracy")]
)
def test_any_callable_can_be_a_reward_whatever_its_name(
    tmp_path: Path, function: Callable[[dunwu.Problem, str], float], name: str
) -> None:
    run = dunwu.train("nano-base", PROBLEMS, reward=function, rollouts=1, out=tmp_path / "run", log="quiet", **SMALL)
    assert set(run.answers()[f"part.{name}"].to_pylist()) == {0.5}
    assert run.metrics()[name].to_pylist() == run.metrics()["reward"].to_pylist() == [0.5]


def test_rules_reward_where_there_is_no_function(tmp_path: Path) -> None:
    run = dunwu.train("nano-base", PROBLEMS, rollouts=1, out=tmp_path / "run", log="quiet", **SMALL)
    assert {"part.accuracy", "part.format"} <= set(run.answers().column_names)


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(dunwu.UserError, match="there is nothing to learn from"):
        dunwu.train("nano-base", [], out=tmp_path / "run")


@pytest.mark.parametrize(
    ("problems", "reward", "message"),
    [
        ([("q", "1"), ("q",)], count_digits, r"problems\.1: \('q',\) is neither a pair of texts, question and answer"),
        ([("2 + 3?", 5)], count_digits, r"problems\.0: \('2 \+ 3\?', 5\) is neither a pair of texts"),
        (PROBLEMS, lambda text: 1.0, "reward: <lambda> cannot be called with two arguments, problem and text"),
        (PROBLEMS, 1.0, r"reward: is float, not a function \(problem, text\) -> float"),
    ],
    ids=["half a problem", "a number", "one argument", "no function"],
)
def test_what_cannot_be_trained_on_is_refused_at_once(tmp_path: Path, problems: Any, reward: Any, message: str) -> None:
    with pytest.raises(dunwu.UserError, match=message):
        dunwu.train("nano-base", problems, reward=reward, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
