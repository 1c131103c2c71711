"""Every example runs as its reader would run it, made small, and does what its first line says."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import dunwu
from dunwu.types import Estimate
from tests.unit.runs.making import STAGE, begin, scored

EXAMPLES = Path(__file__).parents[2] / "examples"
LONGEST = 40
"""Lines of an example: what fits on a screen."""


def load_example(name: str) -> ModuleType:
    """Import an example by its name."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_fits_on_a_screen(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST
    assert f"python examples/{file.name}" in file.read_text(encoding="utf-8")


def test_a_loop_of_ones_own() -> None:
    rewards = load_example("own_loop").main(rollouts=2, questions=2)
    assert len(rewards) == 2
    assert np.isfinite(rewards).all()


def test_a_reward_of_ones_own() -> None:
    rewards = load_example("own_reward").main(rollouts=1)
    assert 0.0 < rewards[0] <= 1.0


def test_a_task_of_ones_own() -> None:
    assert len(load_example("own_task").main(rollouts=1)) == 1


def test_a_verifier_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(load_example("own_verifier").main(rollouts=1)) == 1
    assert capsys.readouterr().out.startswith("1331 1.0\n1332 0.0\n")


def test_problems_of_ones_own(tmp_path: Path) -> None:
    example = load_example("own_problems")
    rows = example.main(out=str(tmp_path / "run"), rollouts=1).answers().to_pylist()
    assert {row["prompt"] for row in rows} <= {question for question, _ in example.PROBLEMS}
    assert all(row["value"] == example.count_steps(None, row["completion"]) for row in rows)


def test_a_loss_of_ones_own(tmp_path: Path) -> None:
    example = load_example("own_loss")
    run = example.main(out=str(tmp_path / "run"), rollouts=2, questions=2)
    assert run.recipe["stages"]["zero"]["algorithm"]["loss"] == "reinforce"
    assert run.metrics()["step"].to_pylist() == [1, 2]
    logprobs_BT = torch.full((1, 2), -1.5, requires_grad=True)
    objective = example.reinforce(logprobs_BT, logprobs_BT.detach(), None, torch.tensor([[2.0, -0.5]]), None)
    objective.values.sum().backward()
    assert logprobs_BT.grad is not None
    assert logprobs_BT.grad.tolist() == [[2.0, -0.5]], "its gradient is the advantage, whatever the ratio"


def test_a_judge_of_ones_own_decides_what_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = load_example("own_judge")
    assert example.agrees("", gold="(5+3)*3", answer="4*6")
    assert not example.agrees("", gold="(5+3)*3", answer="5+3")
    run = example.main(out=str(tmp_path / "run"), questions=8)
    rows = [json.loads(line) for line in (run.directory / "stages/kept/data.jsonl").read_text().splitlines()]
    assert f"{len(rows)} answers kept" in capsys.readouterr().out
    assert rows


def test_reading_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with begin(tmp_path / "run") as writer:
        stage = writer.stage(STAGE)
        stage.append(1, {"reward": 0.5}, {"rollout": 1.0})
        stage.write_rollouts(1, [scored(3, 1), scored(4, 1)])
        stage.write_evaluation("base", "held", [], {"pass@1": Estimate(value=0.5, low=0.25, high=0.75)})
    load_example("reading_a_run").main(str(tmp_path / "run"))
    said = capsys.readouterr().out
    assert "base held: 50.0% (25.0% to 75.0%)" in said
    assert "reward: 0.50" in said
    assert "wait 1 <answer>" in said


def test_labelling_answers(tmp_path: Path) -> None:
    with begin(tmp_path / "run") as writer:
        stage = writer.stage(STAGE)
        stage.append(1, {"reward": 0.5}, {"rollout": 1.0})
        stage.write_rollouts(1, [scored(3, 1), scored(4, 1)])
    example, file = load_example("label_answers"), tmp_path / "verdicts.jsonl"
    example.main(str(tmp_path / "run"), str(file))
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    answers = dunwu.Run(tmp_path / "run").answers().to_pylist()
    whole = {row["completion"]: row["part.accuracy"] == 1.0 for row in answers}
    assert {row["response"]: row["good"] for row in rows if row["response"] in whole} == whole
    others = [row for row in rows if row["response"] not in whole]
    assert all(any(text.startswith(row["response"]) for text in whole) for row in others)
    assert list(example.cut("a, b", random.Random(0))) == ["a, b", "a, "]
