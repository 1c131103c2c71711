"""Small deterministic runs for the tests of the run directory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dunwu.runs import TRAINED, AnswerRow, RunWriter, StageWriter
from dunwu.types import Completion, Estimate, Message, Problem, Prompt, RolloutGroup, Score, ScoredGroup, VersionSpan

STAGE = "zero"
RECIPE: dict[str, Any] = {
    "name": "test",
    "seed": 7,
    "stages": {
        STAGE: {"kind": "rl", "steps": 6, "rollout": {"group_size": 2, "max_sequences": 8}, "checkpoint": {"keep": 2}}
    },
}


def begin(directory: Path) -> RunWriter:
    """A new run of RECIPE."""
    return RunWriter.create(
        directory, recipe_text="# test\n", recipe_json=RECIPE, seed=7, versions={"b": "2", "a": "1"}
    )


def problem(number: int) -> Problem:
    """Problem ``number``, whose answer is its number."""
    return Problem(
        id=f"p{number}",
        task="count",
        kind="math",
        level=number % 3,
        language="en",
        messages=(Message(role="system", content="be brief"), Message(role="user", content=f"say {number}")),
        gold=str(number),
    )


def scored(number: int, step: int) -> ScoredGroup:
    """Two completions: one right, one cut off without an answer; only the first has a format part."""
    texts = (f"wait {step} <answer>{number}</answer>", "")
    completions = tuple(
        Completion(
            token_ids=np.arange(len(text), dtype=np.int32),
            logprobs=np.full(len(text), -0.5 * step, dtype=np.float32),
            text=text,
            finish="stop" if text else "length",
            version_spans=(VersionSpan(version=step - 1, start=0, end=len(text)),),
        )
        for text in texts
    )
    right = Score(
        value=2.0, parts={"accuracy": 1.0, "format": 1.0}, status="graded", extracted=str(number), reason="equal"
    )
    wrong = Score(value=0.0, parts={"accuracy": 0.0}, status="truncated", extracted=None, reason="no answer")
    prompt = Prompt(problem=problem(number), token_ids=np.array([1, 2], dtype=np.int32))
    return ScoredGroup(group=RolloutGroup(prompt=prompt, completions=completions), scores=(right, wrong))


def evaluation_row(sample: int) -> AnswerRow:
    """One right answer to a held-out problem."""
    return AnswerRow(
        problem_id="h1",
        task="count",
        level=1,
        language="en",
        group=0,
        index=sample,
        prompt="say 1",
        completion="wait, check",
        finish="stop",
        tokens=5,
        logprob=-0.5,
        policy_version=4,
        value=1.5,
        parts={"accuracy": 1.0, "format": 0.5},
        extracted=None,
        gold="1",
        reflections=2,
    )


def write_weights(step: int) -> Callable[[Path], None]:
    """Writes a stand-in for a model: two files, one of them in a folder."""

    def write(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / "weights.bin").write_bytes(hashlib.sha256(str(step).encode()).digest() * 50)
        (folder / "trainer.pt").write_bytes(b"optimizer" * step)

    return write


def evaluate(stage: StageWriter, checkpoint: str) -> None:
    """Stores one evaluation."""
    stage.write_evaluation(
        checkpoint, "held-out", [evaluation_row(0)], {"pass@1": Estimate(value=1.0, low=0.5, high=1)}
    )


def work(directory: Path, steps: int = 6) -> None:
    """Begins or resumes a whole run: a rollout a step, a checkpoint every second step, evaluations, the model."""
    run = RunWriter.resume(directory, RECIPE) if (directory / "manifest.json").exists() else begin(directory)
    with run:
        if run.stages.get(STAGE) != "done":
            _train(run.stage(STAGE), steps)
        run.write_summary({"seed": 7, "results": {}})


def _train(stage: StageWriter, steps: int) -> None:
    checkpoint = stage.find_newest_checkpoint()
    start = 0 if checkpoint is None else checkpoint.step
    if checkpoint is not None:
        assert checkpoint.state == {"position": checkpoint.step * 10}
    stage.rewind(start)
    if start == 0:
        evaluate(stage, "base")
    for step in range(start + 1, steps + 1):
        stage.append(step, {"loss": 0.1 * step, "kl": float("nan")}, {"seconds": 1.5})
        stage.write_rollouts(step, [scored(step, step), scored(step + 1, step)])
        if step % 2 == 0:
            evaluate(stage, f"step-{step:06d}")
            stage.save_checkpoint(step, write_weights(step), {"position": step * 10})
    evaluate(stage, TRAINED)
    stage.finish(write_weights(steps))


def fingerprint(directory: Path) -> dict[str, str]:
    """sha256 of every file but the lock, by path."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
