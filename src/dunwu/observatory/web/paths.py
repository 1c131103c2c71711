"""The same problem through training: how the policy went about it at each checkpoint and in rollouts that drew it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dunwu.analysis.labels import describe_checkpoint
from dunwu.analysis.reasoning.facts import hash_problem_id
from dunwu.analysis.results import EvaluationsBySet, is_model_comparison
from dunwu.errors import UserError
from dunwu.observatory.figures import Told, place_of
from dunwu.observatory.web.catalogue import Catalogue
from dunwu.runs import EvaluationRow, StageReader

OFFERED = 40
"""Problems that are offered."""
STOPS = 8
"""Answers on a path, at most: the first, the last, and evenly spaced ones between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One answer on the path, by updates or, of models beside each other, by their order; ``right`` None where nothing
    can be right."""

    place: float
    label: str
    prompt: str
    text: str
    right: bool | None
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A problem that was answered more than once, and by what its answers differ."""

    problem: int
    told: str


def offers(told: Told, catalogue: Catalogue) -> list[Offer]:
    """Problems that can be followed: those that training mended first, then others of the evaluations, then those that
    rollouts drew at several steps."""
    held_out = list(_held_out_offers(told.by_set))
    return [*held_out, *_drawn_offers(catalogue)][:OFFERED]


def _held_out_offers(by_set: EvaluationsBySet) -> Iterator[Offer]:
    for name, evaluations in by_set.items():
        ends = evaluations[0], evaluations[-1]
        first, last = ({row.problem_id: row for row in found.rows if row.sample == 0} for found in ends)
        both = [(first[problem], row) for problem, row in last.items() if problem in first]
        both.sort(key=lambda pair: (pair[0].correct or 0, -(pair[1].correct or 0), -pair[1].reflections))
        for before, after in both:
            answers = [before] if evaluations[0] is evaluations[-1] else [before, after]
            turn = " → ".join(_verdict(row) for row in answers)
            yield Offer(problem=hash_problem_id(after.problem_id), told=f"{name}: {turn}: {after.prompt}")


def _verdict(row: EvaluationRow) -> str:
    return "open" if row.right is None else "right" if row.right else "wrong"


def _drawn_offers(catalogue: Catalogue) -> Iterator[Offer]:
    columns = catalogue.columns()
    first_of_group = columns["index"] == 0
    problems, counts = np.unique(columns["problem"][first_of_group], return_counts=True)
    for place in np.argsort(-counts, kind="stable")[:OFFERED]:
        if counts[place] > 1:
            row = np.flatnonzero(columns["problem"] == problems[place])[0]
            question = catalogue.text("question", int(columns["step"][row]), int(columns["place"][row]))
            yield Offer(problem=int(problems[place]), told=f"drawn in {counts[place]:,} rollouts: {question}")


def path(told: Told, catalogue: Catalogue, problem: int) -> list[Stop]:
    """The first answer at each checkpoint that was evaluated, and of rollouts that drew the problem, in the order of
    training. Raises UserError where there are none."""
    stops = sorted([*_evaluated(told, problem), *_drawn(told.stage, catalogue, problem)], key=lambda stop: stop.place)
    if not stops:
        raise UserError(f"no answer to problem {problem} is stored")
    places = np.unique(np.linspace(0, len(stops) - 1, min(len(stops), STOPS)).round().astype(int))
    return [stops[place] for place in places]


def _evaluated(told: Told, problem: int) -> Iterator[Stop]:
    models = is_model_comparison(told.run, told.name)
    for evaluations in told.by_set.values():
        for number, found in enumerate(evaluations):
            for row in found.rows:
                if row.sample == 0 and hash_problem_id(row.problem_id) == problem:
                    yield Stop(
                        place=number if models else place_of(found, told.last_step),
                        label=describe_checkpoint(found.checkpoint),
                        prompt=row.prompt,
                        text=row.text,
                        right=row.right,
                        tokens=row.tokens,
                    )


def _drawn(stage: StageReader, catalogue: Catalogue, problem: int) -> Iterator[Stop]:
    columns = catalogue.columns()
    rows = np.flatnonzero((columns["problem"] == problem) & (columns["index"] == 0))
    for place in (
        np.unique(np.linspace(0, len(rows) - 1, min(len(rows), STOPS)).round().astype(int)) if len(rows) else ()
    ):
        step, number = int(columns["step"][rows[place]]), int(columns["place"][rows[place]])
        row = stage.read_rollouts(step)[number]
        yield Stop(
            place=row.policy_version,
            label=f"rollout at update {row.policy_version:,}",
            prompt=row.prompt,
            text=row.completion,
            right=row.right,
            tokens=row.tokens,
        )
