"""Compare an evaluation stage's models, from what is stored of them.

Paired tests against the first model, and what longer thinking and more votes are worth to each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from dunwu.evaluation.estimators import compare_pairs
from dunwu.evaluation.inference_compute import Attempt, bin_by_thinking, estimate_vote_accuracies
from dunwu.runs import AccuracyCurve, AnswerRow, Evaluation, PairedTest
from dunwu.types import Problem
from dunwu.verifiers import make_answer_key
from dunwu.verifiers.format import find_reasoning

CountTokens = Callable[[AnswerRow], int]
"""Counts the tokens of an answer's reasoning."""


def compare_models(evaluations: Sequence[Evaluation], models: Sequence[str]) -> Iterator[PairedTest]:
    """Compare every model with the first one on each set, over the problems that both have.

    Args:
        evaluations: What the models reached, in any order.
        models: Their names; the first is the one that the others are compared with.

    Yields:
        A paired test for each set and model.
    """
    shares = {(one.set, one.checkpoint): _shares_of_right(one.rows) for one in evaluations}
    for name in dict.fromkeys(one.set for one in evaluations):
        first = shares.get((name, models[0]), {})
        for model in models[1:]:
            other = shares.get((name, model), {})
            both = [problem for problem in first if problem in other]
            if both:
                before, after = (np.array([one[problem] for problem in both]) for one in (first, other))
                tested = compare_pairs(before, after)
                yield PairedTest(
                    set=name,
                    model=model,
                    against=models[0],
                    problems=len(both),
                    difference=tested.difference,
                    p=tested.p,
                )


def _shares_of_right(rows: Sequence[AnswerRow]) -> dict[str, float]:
    """Return for each problem whose answers can be right the share of those that are."""
    found: dict[str, list[bool]] = {}
    for row in rows:
        if row.right is not None:
            found.setdefault(row.problem_id, []).append(row.right)
    return {problem: float(np.mean(right)) for problem, right in found.items()}


def compute_curves(
    evaluation: Evaluation, problems: Mapping[str, Problem], count_tokens: CountTokens
) -> Iterator[AccuracyCurve]:
    """Compute accuracy against thinking tokens, and against votes where a problem has several samples.

    Args:
        evaluation: One model's answers to one set.
        problems: The set's problems by name.
        count_tokens: Counts the tokens of an answer's reasoning.

    Yields:
        The curves; none where no answer can be right.
    """
    attempts = [
        Attempt(
            problem=row.problem_id,
            thinking=count_tokens(row),
            answer=make_answer_key(problems[row.problem_id], row.extracted),
            right=row.right,
        )
        for row in evaluation.rows
        if row.right is not None
    ]
    if not attempts:
        return
    thought = tuple((one.thinking, one.accuracy) for one in bin_by_thinking(attempts))
    votes = tuple((float(one.m), one.accuracy) for one in estimate_vote_accuracies(attempts))
    yield AccuracyCurve(of="thinking", set=evaluation.set, model=evaluation.checkpoint, points=thought)
    if len(votes) > 1:
        yield AccuracyCurve(of="votes", set=evaluation.set, model=evaluation.checkpoint, points=votes)


def count_by_tokenizer(encode: Callable[[str], Sequence[int]]) -> CountTokens:
    """Return what counts the reasoning in the tokens of a model's own tokenizer."""
    return lambda row: len(encode(row.completion[find_reasoning(row.completion)]))


def estimate_by_length(row: AnswerRow) -> int:
    """Estimate the tokens of the reasoning by its share of the characters, where the tokenizer is not here."""
    return round(row.tokens * len(row.completion[find_reasoning(row.completion)]) / max(1, len(row.completion)))
