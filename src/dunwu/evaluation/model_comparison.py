"""An evaluation stage's models beside each other, from what is stored of them: paired tests, and what more thinking and
more votes are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from dunwu.evaluation.compute import Attempt, by_thinking, by_votes
from dunwu.evaluation.estimators import paired
from dunwu.runs import Curve, Evaluation, EvaluationRow, Pair
from dunwu.types import Problem
from dunwu.verifiers import answer_key
from dunwu.verifiers.format import reasoning_span

Count = Callable[[EvaluationRow], int]
"""The tokens of an answer's reasoning."""


def pairs(evaluations: Sequence[Evaluation], models: Sequence[str]) -> Iterator[Pair]:
    """Every model against the first one, on each set: shares of right samples of the problems that both have."""
    shares = {(one.set, one.checkpoint): _shares(one.rows) for one in evaluations}
    for name in dict.fromkeys(one.set for one in evaluations):
        first = shares.get((name, models[0]), {})
        for model in models[1:]:
            other = shares.get((name, model), {})
            both = [problem for problem in first if problem in other]
            if both:
                before, after = (np.array([one[problem] for problem in both]) for one in (first, other))
                tested = paired(before, after)
                yield Pair(
                    set=name,
                    model=model,
                    against=models[0],
                    problems=len(both),
                    difference=tested.difference,
                    p=tested.p,
                )


def _shares(rows: Sequence[EvaluationRow]) -> dict[str, float]:
    """By problem, where answers can be right."""
    found: dict[str, list[int]] = {}
    for row in rows:
        if row.correct is not None:
            found.setdefault(row.problem_id, []).append(row.correct)
    return {problem: float(np.mean(right)) for problem, right in found.items()}


def curves(evaluation: Evaluation, problems: Mapping[str, Problem], count: Count) -> Iterator[Curve]:
    """Accuracy against thinking tokens, and against votes where a problem has several samples."""
    attempts = [
        Attempt(
            problem=row.problem_id,
            level=row.level,
            thinking=count(row),
            answer=answer_key(problems[row.problem_id], row.extracted),
            right=bool(row.correct),
        )
        for row in evaluation.rows
        if row.correct is not None
    ]
    if not attempts:
        return
    thought = tuple((one.thinking, one.accuracy) for one in by_thinking(attempts))
    votes = tuple((float(one.m), one.accuracy) for one in by_votes(attempts))
    yield Curve(of="thinking", set=evaluation.set, model=evaluation.checkpoint, points=thought)
    if len(votes) > 1:
        yield Curve(of="votes", set=evaluation.set, model=evaluation.checkpoint, points=votes)


def counted(encode: Callable[[str], Sequence[int]]) -> Count:
    """Counts the reasoning in the tokens of a model's own tokenizer."""
    return lambda row: len(encode(row.text[reasoning_span(row.text)]))


def reckoned(row: EvaluationRow) -> int:
    """Of a model whose tokenizer is not here: the reasoning's share of the answer's characters, of its tokens."""
    return round(row.tokens * len(row.text[reasoning_span(row.text)]) / max(1, len(row.text)))
