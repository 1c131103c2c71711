"""A stage with all that its figures, its diagnosis and its pages are made of, read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

from dunwu.analysis import curves
from dunwu.analysis.aha import MomentSearch, find_moments
from dunwu.analysis.curves import Rollout
from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.diagnosis import Flag, Limits, TrainingHistory, diagnose
from dunwu.analysis.missing_files import find_missing_evaluations, find_missing_rollouts
from dunwu.analysis.reasoning.facts import extract_facts
from dunwu.analysis.results import EvaluationsBySet, ReadEvaluations, read_evaluations_by_set
from dunwu.analysis.stage_roles import learns_from_rewards
from dunwu.runs import BASE, TRAINED, Evaluation, RunReader, StageReader
from dunwu.runs.checkpoints import parse_step

T = TypeVar("T")

BASE_ROWS = 2000
"""Answers of the base that its rates are computed from: the first samples of every problem."""


@dataclass(frozen=True, kw_only=True)
class StageData:
    """A stage of a run, as far as it has come.

    Attributes:
        run: The run.
        name: The stage.
        rollouts: The stored rollouts that curves are made of.
        by_set: The evaluations of each set, in the order of training.
        base: The base's answers to held-out problems; None where it was not measured.
        reading: How many of how many stored rollouts have been read, while those are too few for a conclusion.
        unreadable: For each rollout that cannot be read, why.
        damage: Why other files cannot be read, and what is gone from them, as far as has been found out.
    """

    run: RunReader
    name: str
    rollouts: Sequence[Rollout]
    by_set: EvaluationsBySet
    base: Rollout | None
    reading: tuple[int, int] | None = None
    unreadable: Sequence[str] = ()
    damage: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, run: RunReader, name: str, read: ReadEvaluations = read_evaluations_by_set) -> StageData:
        """Read a stage; what is damaged is left out and named in ``unreadable`` and ``damage``.

        Args:
            run: The run.
            name: The stage.
            read: Reads its evaluations.
        """
        damage: list[str] = []
        nothing: EvaluationsBySet = {}
        by_set = read_or_default(lambda: read(run, name), nothing, damage)
        rollouts, unreadable = curves.read_rollouts(run.stage(name))
        base = find_base_rollout(by_set)
        return cls(
            run=run, name=name, rollouts=rollouts, by_set=by_set, base=base, unreadable=unreadable, damage=damage
        )

    def try_make(self, make: Callable[[], T]) -> T | None:
        """Make a part of the stage's pages; None, with a line in ``damage``, where a file of it is damaged."""
        return read_or_default(make, None, self.damage)

    @property
    def stage(self) -> StageReader:
        """The stage's part of the run directory."""
        return self.run.stage(self.name)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The stage as recipe.json has it; empty where that does not know it."""
        found: Mapping[str, Any] = self.run.recipe["stages"].get(self.name, {})
        return found

    @property
    def first_set(self) -> Sequence[Evaluation]:
        """The evaluations of the recipe's first set."""
        return next(iter(self.by_set.values()), [])

    @cached_property
    def metrics(self) -> list[dict[str, float]]:
        """A mapping for each rollout; none where the file is damaged."""
        rows = read_or_default(self.stage.read_metrics, list[dict[str, float]](), self.damage)
        missing = (partial(find, self.run, self.name) for find in (find_missing_rollouts, find_missing_evaluations))
        checks: list[Callable[[], str | None]] = [self.stage.find_lost_metrics, *missing]
        for check in checks:
            if line := read_or_default(check, None, self.damage):
                self.damage.append(line)
        return rows

    @cached_property
    def moment_search(self) -> MomentSearch:
        """What changed, and whether it is an aha moment; nothing while the rollouts are being read."""
        return find_moments(self.rollouts if self.reading is None else [])

    @property
    def last_step(self) -> float:
        """Updates done, where the trained model stands."""
        return self.metrics[-1]["step"] if self.metrics else self.rollouts[-1].updates if self.rollouts else 0

    @property
    def levels(self) -> list[int]:
        """The levels of its problems, ascending."""
        return sorted({level for rollout in self.rollouts for level in rollout.levels})

    def count_updates_before(self, evaluation: Evaluation) -> float:
        """Return how many updates the evaluated policy had seen."""
        known = {BASE: 0.0, TRAINED: float(self.last_step)}.get(evaluation.checkpoint)
        return float(parse_step(evaluation.checkpoint)) if known is None else known

    def diagnose(self) -> list[Flag]:
        """Diagnose the stage from what it has written so far; no flags for stages without rewards."""
        if not learns_from_rewards(self.recipe):
            return []
        held_out = [(self.count_updates_before(evaluation), evaluation.results) for evaluation in self.first_set]
        return diagnose(TrainingHistory(rows=self.metrics, held_out=held_out, limits=Limits.read(self.recipe)))

    def find_evaluations_around(self, start: float, end: float) -> tuple[Evaluation, Evaluation] | None:
        """Find the evaluations of the first set that are next to a stretch of updates.

        Args:
            start: Where the stretch begins, in updates.
            end: Where it ends.

        Returns:
            The last evaluation before it and the first one after; None where one of them is not there.
        """
        before = [found for found in self.first_set if self.count_updates_before(found) <= start]
        after = [found for found in self.first_set if self.count_updates_before(found) >= end]
        return (before[-1], after[0]) if before and after else None


def find_base_evaluation(by_set: EvaluationsBySet) -> Evaluation | None:
    """Find the base's evaluation on the first set that it was measured on."""
    every = (evaluation for found in by_set.values() for evaluation in found)
    return next((found for found in every if found.checkpoint == BASE and found.rows), None)


def find_base_rollout(by_set: EvaluationsBySet) -> Rollout | None:
    """Turn the base's answers to held-out problems into a rollout; None where it was not measured."""
    evaluation = find_base_evaluation(by_set)
    if evaluation is None:
        return None
    few = max(1, BASE_ROWS // evaluation.problems)
    return Rollout(extract_facts([row for row in evaluation.rows if row.index < few]))
