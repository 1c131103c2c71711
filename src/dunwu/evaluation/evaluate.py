"""Measures a policy on held-out problems: k samples each, graded by the same verifiers that reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from dunwu.algorithms.filters import graded
from dunwu.evaluation.estimators import mean, pass_at_k, proportion, vote
from dunwu.observatory import reflection
from dunwu.rollout.collect import Finished, Grader, collect
from dunwu.rollout.engine import Engine
from dunwu.rollout.seeds import sample_seed
from dunwu.runs import EvaluationRow
from dunwu.types import Completion, Estimate, GenerationRequest, Prompt, Sampling, Score, ScoredGroup
from dunwu.verifiers import answer_key


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
    """Draws ``samples`` completions of every prompt and grades them.

    The seeds depend on the run's seed, the set, the problem and the sample alone, so two checkpoints are compared on
    common random numbers.
    """
    requests = [
        GenerationRequest(
            prompt=prompt,
            seeds=tuple(sample_seed(seed, "evaluation", set_name, prompt.problem.id, k) for k in range(samples)),
        )
        for prompt in prompts
    ]
    return collect(engine, requests, sampling, grader, finished)


def is_right(score: Score) -> bool:
    """Whether the answer was right, whatever the format earned."""
    return score.parts["accuracy"] == 1.0


def summarize(groups: Sequence[ScoredGroup], samples: int) -> dict[str, Estimate]:
    """What the groups say of the policy, each with its 95 % interval over problems.

    ``pass@1``, ``pass@k``, ``cons@k`` (k = samples); shares of responses: ``format``, ``truncated``,
    ``reflection_rate`` (at least one reflection word); per response: ``length`` (tokens), ``reflections`` (words).
    Responses whose verifier failed do not count; problems that lose one by it are left out of pass@k and cons@k, and
    these are left out where no problem remains. Raises ValueError where nothing is graded.
    """
    groups = [group for group in map(graded, groups) if group.scores]
    right = [[is_right(score) for score in group.scores] for group in groups]
    votes = [[answer_key(group.group.prompt.problem, score.extracted) for score in group.scores] for group in groups]
    whole = [pair for pair in zip(votes, right, strict=True) if len(pair[1]) == samples]

    def share(measure: Callable[[Completion, Score], float]) -> Estimate:
        return proportion(_per_problem(groups, measure), samples)

    results = {"pass@1": share(lambda _, score: is_right(score))}
    if whole:
        passed = np.array([pass_at_k(sum(row), samples, samples) for _, row in whole])
        results[f"pass@{samples}"] = proportion(passed, 1)
        results[f"cons@{samples}"] = proportion(np.array([vote(*pair) for pair in whole]), 1)
    return results | {
        "format": share(lambda _, score: score.parts["format"]),
        "truncated": share(lambda completion, _: completion.finish == "length"),
        "length": mean(_per_problem(groups, lambda completion, _: len(completion.token_ids))),
        "reflections": mean(_per_problem(groups, lambda completion, _: reflection.total(completion.text))),
        "reflection_rate": share(lambda completion, _: reflection.total(completion.text) > 0),
    }


def rows(groups: Sequence[ScoredGroup]) -> list[EvaluationRow]:
    """One row for each graded response, in order, for the run store; ``sample`` is its place among all drawn."""
    return [
        EvaluationRow(
            problem_id=problem.id,
            level=problem.level,
            language=problem.language,
            sample=k,
            correct=int(is_right(score)),
            tokens=len(completion.token_ids),
            reflections=reflection.total(completion.text),
            prompt=problem.messages[-1].content,
            gold=problem.gold,
            text=completion.text,
            extracted=score.extracted,
        )
        for group in groups
        for problem in (group.group.prompt.problem,)
        for k, (completion, score) in enumerate(zip(group.group.completions, group.scores, strict=True))
        if score.status != "verifier_failed"
    ]


def _per_problem(
    groups: Sequence[ScoredGroup], measure: Callable[[Completion, Score], float]
) -> Float64[np.ndarray, " N"]:
    """The mean over each problem's completions."""
    return np.array(
        [
            np.mean([measure(*pair) for pair in zip(group.group.completions, group.scores, strict=True)])
            for group in groups
        ]
    )
