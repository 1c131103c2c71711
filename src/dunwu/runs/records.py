"""The rows and results that a run directory holds, as they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dunwu.types import Estimate, Finish, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """One completion of one problem, in training or on held-out problems.

    A field is None where it does not apply or was not recorded. Answers to held-out problems of schema version 1 lack
    ``finish``, ``logprob``, ``policy_version`` and ``value``, and have no other part than ``accuracy``.

    Attributes:
        problem_id: Stable over runs.
        task: The source of the problem; "" where it was not recorded.
        subject: What the problem is about, for breakdowns; "" in training.
        level: Difficulty, as the task counts it.
        language: Of the question.
        group: Place of the problem in its rollout or its set.
        index: Place of the completion among those of its problem.
        prompt: The user's text, without template.
        completion: What the policy wrote.
        finish: How the completion ended.
        tokens: Its length.
        logprob: Mean log-probability of its tokens under the sampler, in nats; 0 for an empty completion, None where a
            server reports none.
        policy_version: Updates of the policy that wrote it.
        step: Updates done when its rollout had been learned from; None on held-out problems.
        value: The score.
        parts: The parts of the score by name.
        status: Whether it could be graded.
        extracted: The answer that was read from it.
        gold: A right answer.
        reason: What the verifier says; "" where it says nothing.
        reflections: Words of reflection in it; None in training.
    """

    problem_id: str
    task: str = ""
    subject: str = ""
    level: int
    language: str
    group: int
    index: int
    prompt: str
    completion: str
    finish: Finish | None = None
    tokens: int
    logprob: float | None = None
    policy_version: int | None = None
    step: int | None = None
    value: float | None = None
    parts: Mapping[str, float]
    status: Status = "graded"
    extracted: str | None
    gold: str
    reason: str = ""
    reflections: int | None = None

    @property
    def right(self) -> bool | None:
        """Whether the answer is right, whatever its format earned; None where no answer can be."""
        return self.parts["accuracy"] == 1.0 if "accuracy" in self.parts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one checkpoint or model reached on one evaluation set.

    Attributes:
        checkpoint: ``base``, ``step-000016``, ``trained``, or a model of an evaluation stage.
        set: The set's name.
        results: By quantity, such as ``pass@1``, ``cons@16``, ``length`` (tokens), ``format``.
        rows: The answers, in the order of the set; empty where only the results were read.
    """

    checkpoint: str
    set: str
    results: Mapping[str, Estimate]
    rows: tuple[AnswerRow, ...]

    @property
    def problems(self) -> int:
        """How many problems were asked."""
        return len({row.problem_id for row in self.rows})

    @property
    def samples(self) -> int:
        """How many answers there are to each problem."""
        return len(self.rows) // max(self.problems, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint whose files agree with its manifest.

    Attributes:
        path: Its folder.
        step: Updates done.
        state: What the stage kept in ``state.json`` beside the trainer's files.
    """

    path: Path
    step: int
    state: Mapping[str, Any]


class Cost(NamedTuple):
    """What a module's work cost.

    Attributes:
        seconds: Wall-clock time.
        tokens: Tokens that it wrote or read.
        flops: Floating-point operations, by estimate.
    """

    seconds: float
    tokens: int
    flops: float

    def __add__(self, other: object) -> Cost:
        assert isinstance(other, Cost)
        return Cost(self.seconds + other.seconds, self.tokens + other.tokens, self.flops + other.flops)
