"""One problem through training: how the policy answered it at each checkpoint and in rollouts that drew it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dunwu.analysis.labels import describe_checkpoint
from dunwu.analysis.reasoning.facts import hash_problem_id
from dunwu.analysis.results import EvaluationsBySet, is_model_comparison
from dunwu.analysis.stage_data import StageData
from dunwu.errors import UserError
from dunwu.observatory.web.rollout_index import RolloutIndex
from dunwu.runs import AnswerRow, StageReader

MOST_OFFERED = 40
"""Problems that are offered."""
MOST_ANSWERS = 8
"""Answers of a history, at most: the first, the last, and evenly spaced ones between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryAnswer:
    """One answer of a history.

    Attributes:
        place: The updates that the policy had seen; of models side by side, their order.
        label: Whose answer it is.
        prompt: The question.
        text: The answer.
        right: What the rule said; None where nothing can be right.
        tokens: Its length.
    """

    place: float
    label: str
    prompt: str
    text: str
    right: bool | None
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemOffer:
    """A problem that was answered more than once: its number, and by what its answers differ."""

    problem: int
    label: str


def offer_problems(data: StageData, index: RolloutIndex) -> list[ProblemOffer]:
    """Offer problems whose answers can be followed.

    Args:
        data: The stage.
        index: Its completions.

    Returns:
        Those that training mended first, then others of the evaluations, then those that several rollouts drew.
    """
    return [*_offer_held_out(data.by_set), *_offer_from_rollouts(index)][:MOST_OFFERED]


def read_history(data: StageData, index: RolloutIndex, problem: int) -> list[HistoryAnswer]:
    """Read the first answer at each evaluated checkpoint, and of rollouts that drew the problem.

    Args:
        data: The stage.
        index: Its completions.
        problem: The problem's number.

    Returns:
        The answers in the order of training, evenly spaced ones where there are many.

    Raises:
        UserError: No answer to the problem is stored.
    """
    found = [*_read_evaluated(data, problem), *_read_rollouts(data.stage, index, problem)]
    if not found:
        raise UserError(f"no answer to problem {problem} is stored")
    found.sort(key=lambda answer: answer.place)
    return [found[place] for place in _space(len(found))]


def _space(count: int) -> Sequence[int]:
    """At most ``MOST_ANSWERS`` of so many places, evenly."""
    places: Sequence[int] = np.unique(np.linspace(0, count - 1, min(count, MOST_ANSWERS)).round().astype(int)).tolist()
    return places


def _offer_held_out(by_set: EvaluationsBySet) -> Iterator[ProblemOffer]:
    for name, evaluations in by_set.items():
        ends = evaluations[0], evaluations[-1]
        first, last = ({row.problem_id: row for row in found.rows if row.index == 0} for found in ends)
        both = [(first[problem], row) for problem, row in last.items() if problem in first]
        both.sort(key=lambda pair: (bool(pair[0].right), not pair[1].right, -(pair[1].reflections or 0)))
        for before, after in both:
            answers = [before] if evaluations[0] is evaluations[-1] else [before, after]
            turn = " → ".join(_describe_verdict(row) for row in answers)
            label = f"{name}: {turn}: {after.prompt}"
            yield ProblemOffer(problem=hash_problem_id(after.problem_id), label=label)


def _describe_verdict(row: AnswerRow) -> str:
    return "open" if row.right is None else "right" if row.right else "wrong"


def _offer_from_rollouts(index: RolloutIndex) -> Iterator[ProblemOffer]:
    columns = index.join_columns()
    first_of_group = columns["index"] == 0
    problems, counts = np.unique(columns["problem"][first_of_group], return_counts=True)
    for place in np.argsort(-counts, kind="stable")[:MOST_OFFERED]:
        if counts[place] > 1:
            row = np.flatnonzero(columns["problem"] == problems[place])[0]
            question = index.get_text("question", int(columns["step"][row]), int(columns["place"][row]))
            label = f"drawn in {counts[place]:,} rollouts: {question}"
            yield ProblemOffer(problem=int(problems[place]), label=label)


def _read_evaluated(data: StageData, problem: int) -> Iterator[HistoryAnswer]:
    side_by_side = is_model_comparison(data.run, data.name)
    for evaluations in data.by_set.values():
        for number, found in enumerate(evaluations):
            for row in found.rows:
                if row.index == 0 and hash_problem_id(row.problem_id) == problem:
                    yield HistoryAnswer(
                        place=number if side_by_side else data.count_updates_before(found),
                        label=describe_checkpoint(found.checkpoint),
                        prompt=row.prompt,
                        text=row.completion,
                        right=row.right,
                        tokens=row.tokens,
                    )


def _read_rollouts(stage: StageReader, index: RolloutIndex, problem: int) -> Iterator[HistoryAnswer]:
    columns = index.join_columns()
    rows = np.flatnonzero((columns["problem"] == problem) & (columns["index"] == 0))
    for place in _space(len(rows)):
        step, number = int(columns["step"][rows[place]]), int(columns["place"][rows[place]])
        row = stage.read_rollouts(step)[number]
        yield HistoryAnswer(
            place=row.policy_version or 0,
            label=f"rollout at update {row.policy_version:,}",
            prompt=row.prompt,
            text=row.completion,
            right=row.right,
            tokens=row.tokens,
        )
