"""Measures a policy on held-out problems: k samples each, graded by the same verifiers that reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from dunwu.algorithms.filters import graded
from dunwu.analysis.reasoning import reflection
from dunwu.evaluation.estimators import bootstrap, pass_at_k, proportion, vote
from dunwu.metrics import mean
from dunwu.rollout.collect import Finished, Grader, collect
from dunwu.rollout.engine import Engine
from dunwu.rollout.seeds import sample_seed
from dunwu.runs import EvaluationRow
from dunwu.types import Completion, Estimate, GenerationRequest, Prompt, Sampling, Score, ScoredGroup
from dunwu.verifiers import answer_key
from dunwu.verifiers.format import reasoning
from dunwu.verifiers.language import consistency, has_words

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


def can_be_right(score: Score) -> bool:
    """Whether the question has answers that are right."""
    return "accuracy" in score.parts


def is_right(score: Score) -> bool:
    """Whether the answer was right, whatever the format earned."""
    return score.parts.get("accuracy") == 1.0


def summarize(groups: Sequence[ScoredGroup], samples: int) -> dict[str, Estimate]:
    """What the groups say of the policy, each with its 95 % interval over problems.

    ``pass@1``, ``pass@k``, ``cons@k`` (k = samples), by bootstrap; shares of responses: ``format``, ``truncated``,
    ``reflection_rate`` (at least one reflection word); per response: ``length`` (tokens), ``reflections`` (words), and
    what judges and the user's functions gave, under their names, where they gave something; ``language``: share of the
    words of the reasoning that are of the question's language, over the responses whose reasoning has words.

    Responses whose verifier failed do not count; problems that lose one by it are left out of pass@k and cons@k, and
    these are left out where no problem remains. Where nothing can be right there is no pass@1 either. Raises ValueError
    where nothing is graded.
    """
    groups = [group for group in map(graded, groups) if group.scores]
    closed = [group for group in groups if can_be_right(group.scores[0])]
    right = [[is_right(score) for score in group.scores] for group in closed]
    votes = [[answer_key(group.group.prompt.problem, score.extracted) for score in group.scores] for group in closed]
    whole = [pair for pair in zip(votes, right, strict=True) if len(pair[1]) == samples]
    judged = {
        name: None for group in groups for score in group.scores for name in score.parts if name not in RULE_PARTS
    }

    def share(measure: Callable[[Completion, Score], float]) -> Estimate:
        return proportion(_per_problem(groups, measure), samples)

    results = dict[str, Estimate]()
    if closed:
        results["pass@1"] = bootstrap(_per_problem(closed, lambda _, score: is_right(score)), "share")
    if whole:
        passed = np.array([pass_at_k(sum(row), samples, samples) for _, row in whole])
        results[f"pass@{samples}"] = bootstrap(passed, "share")
        results[f"cons@{samples}"] = bootstrap(np.array([vote(*pair) for pair in whole]), "share")
    for name in judged:
        results[name] = mean(_given(groups, name))
    results |= {
        "format": share(lambda _, score: score.parts["format"]),
        "truncated": share(lambda completion, _: completion.finish == "length"),
        "length": mean(_per_problem(groups, lambda completion, _: len(completion.token_ids)), lowest=0.0),
        "reflections": mean(_per_problem(groups, lambda completion, _: reflection.total(completion.text)), lowest=0.0),
        "reflection_rate": share(lambda completion, _: reflection.total(completion.text) > 0),
    }
    worded = np.array([share for group in groups for share in _languages(group)])
    return results | ({"language": mean(worded, lowest=0.0, highest=1.0)} if worded.size else {})


def _given(groups: Sequence[ScoredGroup], name: str) -> list[float]:
    """The mean part of each problem's completions that have it; problems of which none has are left out."""
    given = ([score.parts[name] for score in group.scores if name in score.parts] for group in groups)
    return [float(np.mean(values)) for values in given if values]


def _languages(group: ScoredGroup) -> list[float]:
    """The mean share of the question's language over the completions whose reasoning has words; none: nothing."""
    chains = [reasoning(completion.text) for completion in group.group.completions]
    shares = [consistency(chain, group.group.prompt.problem.language) for chain in chains if has_words(chain)]
    return [float(np.mean(shares))] if shares else []


def rows(groups: Sequence[ScoredGroup]) -> list[EvaluationRow]:
    """One row for each graded response, in order, for the run store; ``sample`` is its place among all drawn."""
    return [
        EvaluationRow(
            problem_id=problem.id,
            level=problem.level,
            language=problem.language,
            sample=k,
            correct=int(is_right(score)) if can_be_right(score) else None,
            tokens=len(completion.token_ids),
            reflections=reflection.total(completion.text),
            prompt=problem.messages[-1].content,
            gold=problem.gold,
            text=completion.text,
            extracted=score.extracted,
            subject=problem.subject,
            reason=score.reason,
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
