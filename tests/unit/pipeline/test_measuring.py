"""A rollout's numbers: each part of the reward over the responses that have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.unit.pipeline.contexts import make_context

from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.stages.measurement import measure_set
from dunwu.pipeline.stages.rl_metrics import summarize_rollout
from dunwu.runs import StageWriter
from dunwu.types import Completion, Problem, Prompt, RolloutGroup, Score, ScoredGroup


def group(task: str, *parts: dict[str, float]) -> ScoredGroup:
    """One completion for each score."""
    problem = Problem(id=task, task=task, kind="math", level=0, language="en", messages=(), gold="1")
    nothing = np.zeros(2, np.int32)
    completion = Completion(token_ids=nothing, logprobs=nothing.astype(np.float32), text="x", finish="stop")
    return ScoredGroup(
        group=RolloutGroup(prompt=Prompt(problem=problem, token_ids=nothing), completions=(completion,) * len(parts)),
        scores=tuple(Score(value=1.0, parts=p, status="graded", extracted=None, reason="") for p in parts),
    )


def test_a_part_that_one_task_alone_has_is_averaged_over_it() -> None:
    plain = group("plain", {"accuracy": 1.0, "format": 1.0}, {"accuracy": 0.0, "format": 1.0})
    other = group(
        "other", {"accuracy": 1.0, "format": 0.0, "language": 0.25}, {"accuracy": 1.0, "format": 1.0, "language": 0.75}
    )
    metrics = summarize_rollout([plain, other], [], draws=2)
    assert (metrics["accuracy"], metrics["format"], metrics["language"]) == (0.75, 0.75, 0.5)


def test_what_is_measured_is_not_measured_again_and_its_answers_are_not_read(tmp_path: Path) -> None:
    store = StageWriter(tmp_path / "zero", keep=1, on_finish=lambda: None)
    store.write_evaluation("trained", "held", [], {})
    (store.path / "evaluations/trained/held.parquet").write_text("answers")
    with StopSignal() as stop:
        context = make_context(store, stop)
        nobody: Any = None
        how: dict[str, Any] = {"checkpoint": "trained", "set_name": "held", "prompts": [], "samples": 1}
        measure_set(context, nobody, nobody, nobody, nobody, **how)
