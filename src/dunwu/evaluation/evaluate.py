"""Measure a policy on held-out problems: k samples of each, graded by the same verifiers that reward it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from dunwu.algorithms.filters import keep_graded
from dunwu.analysis.reasoning import reflection
from dunwu.evaluation.estimators import bootstrap_mean, estimate_pass_at_k, estimate_proportion
from dunwu.evaluation.votes import score_vote
from dunwu.metrics import estimate_mean
from dunwu.rollout.collect import Finished, Grader, collect
from dunwu.rollout.engine import Engine
from dunwu.rollout.seeds import derive_seed
from dunwu.runs import AnswerRow
from dunwu.runs.answer_tables import make_rows
from dunwu.types import Completion, Estimate, GenerationRequest, Prompt, Sampling, Score, ScoredGroup
from dunwu.verifiers import make_answer_key
from dunwu.verifiers.format import extract_reasoning
from dunwu.verifiers.language import measure_share

RULE_PARTS = frozenset({"accuracy", "format"})
"""Parts of a score that rules give; all others in an evaluation come from judges and from the user's functions."""


def evaluate(
    engine: Engine,
    prompts: Sequence[Prompt],
    grader: Grader,
    sampling: Sampling,
    *,
    samples: int,
    seed: int,
    set_name: str,
    finished: Finished | None = None,
) -> list[ScoredGroup]:
    """Draw ``samples`` completions of every prompt and grade them.

    The seeds depend on the run's seed, the set, the problem and the sample alone, so two checkpoints are compared on
    common random numbers.

    Args:
        engine: Generates, with the weights that are to be measured.
        prompts: The held-out problems, encoded.
        grader: Scores each completion as it finishes.
        sampling: Temperature, length and stops.
        samples: Completions of each prompt (k).
        seed: The run's.
        set_name: Of the evaluation set.
        finished: Is called with (completions finished, completions in all).

    Returns:
        One group a prompt, in the order of the prompts.
    """
    requests = [
        GenerationRequest(
            prompt=prompt,
            seeds=tuple(derive_seed(seed, "evaluation", set_name, prompt.problem.id, k) for k in range(samples)),
        )
        for prompt in prompts
    ]
    return collect(engine, requests, sampling, grader, finished)


def can_be_right(score: Score) -> bool:
    """Return whether the question has right answers; open questions have none."""
    return "accuracy" in score.parts


def is_right(score: Score) -> bool:
    """Return whether the answer was right, whatever the format earned."""
    return score.parts.get("accuracy") == 1.0


def summarize(groups: Sequence[ScoredGroup], samples: int) -> dict[str, Estimate]:
    """Estimate what the groups say of the policy, each result with its 95 % interval over problems.

    Responses whose verifier failed do not count. Problems that lose one by it are left out of pass@k and cons@k.

    Args:
        groups: The graded completions.
        samples: How many were drawn of each problem (k).

    Returns:
        By name: ``pass@1``, ``pass@k`` and ``cons@k``, by bootstrap, where answers can be right. Shares of responses:
        ``format``, ``truncated``, ``reflection_rate`` (at least one reflection word). Means a response: ``length``
        (tokens), ``reflections`` (words), and whatever judges and the user's functions gave, under their names.
        ``language``: the share of the reasoning's words that are of the question's language, over the responses whose
        reasoning has words.

    Raises:
        ValueError: Nothing is graded.
    """
    groups = [group for group in map(keep_graded, groups) if group.scores]

    def share(measure: Callable[[Completion, Score], float]) -> Estimate:
        return estimate_proportion(_average_by_problem(groups, measure), samples)

    def average(measure: Callable[[Completion, Score], float]) -> Estimate:
        return estimate_mean(_average_by_problem(groups, measure), lowest=0.0)

    results = _summarize_accuracy(groups, samples)
    for name in {part: None for group in groups for score in group.scores for part in score.parts}:
        if name not in RULE_PARTS:
            results[name] = estimate_mean(_average_given(groups, name))
    results |= {
        "format": share(lambda _, score: score.parts["format"]),
        "truncated": share(lambda completion, _: completion.finish == "length"),
        "length": average(lambda completion, _: len(completion.token_ids)),
        "reflections": average(lambda completion, _: reflection.count_reflections(completion.text)),
        "reflection_rate": share(lambda completion, _: reflection.count_reflections(completion.text) > 0),
    }
    languages = np.array([share for group in groups for share in _average_language(group)])
    return results | ({"language": estimate_mean(languages, lowest=0.0, highest=1.0)} if languages.size else {})


def to_rows(groups: Sequence[ScoredGroup]) -> list[AnswerRow]:
    """Make one row for each graded response, in order, for the run store."""
    return [
        replace(row, reflections=reflection.count_reflections(row.completion))
        for row in make_rows(groups)
        if row.status != "verifier_failed"
    ]


def _summarize_accuracy(groups: Sequence[ScoredGroup], samples: int) -> dict[str, Estimate]:
    """Estimate pass@1, pass@k and cons@k of the groups whose answers can be right."""
    closed = [group for group in groups if can_be_right(group.scores[0])]
    right = [[is_right(score) for score in group.scores] for group in closed]
    votes = [
        [make_answer_key(group.group.prompt.problem, score.extracted) for score in group.scores] for group in closed
    ]
    complete = [pair for pair in zip(votes, right, strict=True) if len(pair[1]) == samples]
    results = dict[str, Estimate]()
    if closed:
        results["pass@1"] = bootstrap_mean(_average_by_problem(closed, lambda _, score: is_right(score)), "share")
    if complete:
        passed = np.array([estimate_pass_at_k(sum(row), samples, samples) for _, row in complete])
        results[f"pass@{samples}"] = bootstrap_mean(passed, "share")
        results[f"cons@{samples}"] = bootstrap_mean(np.array([score_vote(*pair) for pair in complete]), "share")
    return results


def _average_given(groups: Sequence[ScoredGroup], name: str) -> list[float]:
    """Average a part over each problem's completions that have it; problems without it are left out."""
    given = ([score.parts[name] for score in group.scores if name in score.parts] for group in groups)
    return [float(np.mean(values)) for values in given if values]


def _average_language(group: ScoredGroup) -> list[float]:
    """Average the share of the question's language over the completions whose reasoning has words; [] for none."""
    chains = [extract_reasoning(completion.text) for completion in group.group.completions]
    found = (measure_share(chain, group.group.prompt.problem.language) for chain in chains)
    shares = [share for share in found if share is not None]
    return [float(np.mean(shares))] if shares else []


def _average_by_problem(
    groups: Sequence[ScoredGroup], measure: Callable[[Completion, Score], float]
) -> Float64[np.ndarray, " N"]:
    """Average a measure over each problem's completions."""
    return np.array(
        [
            np.mean([measure(*pair) for pair in zip(group.group.completions, group.scores, strict=True)])
            for group in groups
        ]
    )
