"""The rows and results that a run directory holds, as they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dunwu.types import Estimate, Finish, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """One completion of one rollout. ``step`` counts the updates done when its rollout had been learned from.

    ``prompt`` is the user's text, without template; ``tokens`` the completion's length; ``logprob`` the mean
    log-probability of its tokens under the sampler (nats a token; 0 for an empty completion).
    """

    step: int
    group: int
    index: int
    problem_id: str
    task: str
    level: int
    language: str
    prompt: str
    completion: str
    finish: Finish
    tokens: int
    logprob: float
    policy_version: int
    value: float
    parts: Mapping[str, float]
    status: Status
    extracted: str | None
    gold: str
    reason: str

    @property
    def right(self) -> bool | None:
        """Whether the answer is right, whatever its form earned; None where nothing can be."""
        return self.parts["accuracy"] == 1.0 if "accuracy" in self.parts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow:
    """One answer to one held-out problem: sample ``sample`` of ``problem_id``, right (1) or wrong (0).

    ``tokens`` is the completion's length, ``reflections`` its number of reflection words (``observatory.reflection``).
    ``subject`` is the problem's, ``reason`` the verifier's ("" where there is none, and in files of runs that did not
    record it).
    """

    problem_id: str
    level: int
    language: str
    sample: int
    correct: int | None
    tokens: int
    reflections: int
    prompt: str
    gold: str
    text: str
    extracted: str | None
    subject: str = ""
    reason: str = ""

    @property
    def right(self) -> bool | None:
        """As a rollout's."""
        return None if self.correct is None else bool(self.correct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one checkpoint (``base``, ``step-000016``, ``trained``) reached on one evaluation set.

    ``results``: ``pass@1``, ``cons@16``, ``mean_length`` (tokens), ``reflection_rate`` (words a response), ``format``.
    """

    checkpoint: str
    set: str
    results: Mapping[str, Estimate]
    rows: tuple[EvaluationRow, ...]

    @property
    def problems(self) -> int:
        """How many problems it asked."""
        return len({row.problem_id for row in self.rows})

    @property
    def samples(self) -> int:
        """How many answers to each."""
        return len(self.rows) // max(self.problems, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint whose files agree with its manifest. ``state`` is what the trainer's integers were."""

    path: Path
    step: int
    state: Mapping[str, Any]


class Spent(NamedTuple):
    """What a module's work cost: seconds by the clock, tokens that it made or read, FLOPs as reckoned."""

    seconds: float
    tokens: int
    flops: float

    def __add__(self, other: object) -> Spent:
        assert isinstance(other, Spent)
        return Spent(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))  # type: ignore[arg-type]
