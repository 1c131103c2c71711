"""Does reflection help? Chains are cut before their first word of reflection and continued without any, and with it.

The causal check of a candidate aha moment. Both continuations start from the same tokens of the same chain and use the
same random seeds. The arm "with" is given the word that stood there. The arm "without" may not write words of
reflection: the tokens that hold one are never drawn. So a policy that may reflect from here on is compared with one
that may not.

Dimensions: C tokens of a chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Int32

from dunwu.algorithms.filters import keep_graded
from dunwu.analysis.reasoning import reflection
from dunwu.analysis.reasoning.chain import read_chain
from dunwu.errors import UserError
from dunwu.evaluation.estimators import bootstrap_mean, compare_pairs
from dunwu.evaluation.evaluate import is_right
from dunwu.rollout.builtin.stop_strings import decode
from dunwu.rollout.collect import Finished, Grader, collect
from dunwu.rollout.engine import Engine
from dunwu.rollout.seeds import derive_seed
from dunwu.types import (
    Completion,
    Estimate,
    GenerationRequest,
    Problem,
    Prompt,
    RolloutGroup,
    Sampling,
    Score,
    ScoredGroup,
)

Arm = Literal["without", "with"]
ARMS: tuple[Arm, ...] = ("without", "with")
Tokens = Int32[np.ndarray, " C"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutChain:
    """A chain up to its first word of reflection.

    Attributes:
        prompt: What it answers.
        written: Its tokens before the word.
        word: The tokens of the word.
    """

    prompt: Prompt
    written: Tokens
    word: Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionEffect:
    """How often the continuations of each chain are right, with intervals over chains.

    Attributes:
        chains: How many chains were graded on both arms.
        samples: Continuations of each chain on each arm.
        without: Share of right answers without reflection.
        with_: Share of right answers with it.
        difference: with - without.
        p: Of the paired sign-flip test.
        leaked: Share of the continuations without that reflected all the same, in words of several tokens.
    """

    chains: int
    samples: int
    without: Estimate
    with_: Estimate
    difference: Estimate
    p: float
    leaked: float


def cut_chains(groups: Sequence[ScoredGroup], tokenizer: Any) -> list[CutChain]:
    """Cut the first completion of every group before its first word of reflection that follows a step.

    Chains without such a word are left out.
    """
    return [cut for group in groups if (cut := _cut(group.group, tokenizer))]


def _cut(group: RolloutGroup, tokenizer: Any) -> CutChain | None:
    completion, opened = group.completions[0], len(group.prompt.opening)
    span = read_chain(completion.text)
    for start, end in reflection.find_reflections(completion.text):
        if span.start <= start and end <= span.end and read_chain(completion.text[:start]).steps:
            before = _tokens_within(completion, start - opened, tokenizer)
            after = _tokens_to_hold(completion, end - opened, tokenizer)
            ids = completion.token_ids
            return CutChain(prompt=group.prompt, written=ids[:before], word=ids[before:after])
    return None


def _tokens_within(completion: Completion, characters: int, tokenizer: Any) -> int:
    """Return how many of the first tokens lie wholly within the first ``characters``."""
    low, high = 0, len(completion.token_ids)
    while low < high:
        middle = (low + high + 1) // 2
        if len(decode(tokenizer, completion.token_ids[:middle].tolist())) <= characters:
            low = middle
        else:
            high = middle - 1
    return low


def _tokens_to_hold(completion: Completion, characters: int, tokenizer: Any) -> int:
    """Return how many of the first tokens it takes to hold the first ``characters``, whole: a token may be a byte."""
    count = _tokens_within(completion, characters, tokenizer)
    while count < len(completion.token_ids):
        text = decode(tokenizer, completion.token_ids[:count].tolist())
        if len(text) >= characters and not text.endswith("\N{REPLACEMENT CHARACTER}"):
            break
        count += 1
    return count


def find_reflective_tokens(tokenizer: Any) -> tuple[int, ...]:
    """Find the tokens that hold a word of reflection.

    Words that take several tokens can still be written: to ban what they begin with would take other words away as
    well. ``ReflectionEffect.leaked`` says how often that happened.
    """
    return tuple(
        number for number in range(len(tokenizer)) if reflection.count_reflections(decode(tokenizer, [number]))
    )


def measure_reflection_effect(
    engine: Engine,
    chains: Sequence[CutChain],
    grader: Grader,
    sampling: Sampling,
    tokenizer: Any,
    *,
    samples: int,
    seed: int,
    finished: Finished | None = None,
) -> ReflectionEffect:
    """Continue every chain on both arms and compare how often the answers are right.

    Args:
        engine: Generates the continuations.
        chains: The chains that were cut.
        grader: Grades each chain as a whole.
        sampling: How continuations are drawn; the arm "without" bans tokens on top.
        tokenizer: The policy's.
        samples: Continuations of each chain on each arm.
        seed: The run's.
        finished: Is called with (continuations finished, continuations on both arms).

    Returns:
        The shares of right answers and their difference.

    Raises:
        UserError: No chain has a word of reflection to cut before.
    """
    if not chains:
        raise UserError("no chain has a word of reflection with a step before it: there is nothing to cut")
    found = {
        arm: [
            keep_graded(group)
            for group in _continue(engine, chains, arm, grader, sampling, tokenizer, samples, seed, progress)
        ]
        for arm, progress in zip(ARMS, _progress_of_arms(finished), strict=True)
    }
    both = [pair for pair in zip(*found.values(), strict=True) if all(group.scores for group in pair)]
    without, with_ = (
        np.array([np.mean([is_right(score) for score in group.scores]) for group in arm])
        for arm in zip(*both, strict=True)
    )
    tested = compare_pairs(without, with_, seed)
    leaked = [
        _reflects(cut, completion, tokenizer)
        for cut, group in zip(chains, found["without"], strict=True)
        for completion in group.group.completions
    ]
    return ReflectionEffect(
        chains=len(both),
        samples=samples,
        without=bootstrap_mean(without, "share", seed),
        with_=bootstrap_mean(with_, "share", seed),
        difference=tested.difference,
        p=tested.p,
        leaked=float(np.mean(leaked)),
    )


def _continue(
    engine: Engine,
    chains: Sequence[CutChain],
    arm: Arm,
    grader: Grader,
    sampling: Sampling,
    tokenizer: Any,
    samples: int,
    seed: int,
    finished: Finished | None,
) -> list[ScoredGroup]:
    """Continue the chains on one arm to their ends, and grade them as wholes."""
    begun = {cut.prompt.problem.id: _tokens_before(cut, arm) for cut in chains}
    requests = [
        GenerationRequest(
            prompt=replace(
                cut.prompt,
                token_ids=np.concatenate([cut.prompt.token_ids, begun[cut.prompt.problem.id]]),
                opening="",  # what is collected is the continuation alone
            ),
            seeds=tuple(derive_seed(seed, "ablation", cut.prompt.problem.id, k) for k in range(samples)),
        )
        for cut in chains
    ]
    banned = find_reflective_tokens(tokenizer) if arm == "without" else ()
    whole = _WholeChainGrader(grader, begun, {cut.prompt.problem.id: cut.prompt.opening for cut in chains}, tokenizer)
    groups = collect(engine, requests, replace(sampling, banned=banned), whole, finished)
    return [
        replace(
            group,
            group=replace(
                group.group, completions=tuple(map(partial(whole.join, cut.prompt.problem), group.group.completions))
            ),
        )
        for cut, group in zip(chains, groups, strict=True)
    ]


def _tokens_before(cut: CutChain, arm: Arm) -> Tokens:
    """Return what stands before the continuation."""
    return np.concatenate([cut.written, cut.word]) if arm == "with" else cut.written


class _WholeChainGrader:
    """Grades a continuation together with what it continues."""

    def __init__(
        self, grader: Grader, begun: Mapping[str, Tokens], openings: Mapping[str, str], tokenizer: Any
    ) -> None:
        self._grader, self._begun, self._openings, self._tokenizer = grader, begun, openings, tokenizer
        self.workers = grader.workers

    def join(self, problem: Problem, completion: Completion) -> Completion:
        """Join a continuation to its chain's beginning, as one completion."""
        begun, ids = self._begun[problem.id], completion.token_ids
        whole = np.concatenate([begun, ids])
        unwritten = len(decode(self._tokenizer, ids.tolist())) - len(completion.text)  # an end of sequence
        text = decode(self._tokenizer, whole.tolist())  # at once: a character may lie on both sides of the cut
        text = text[: len(text) - unwritten] if unwritten > 0 else text
        return replace(completion, token_ids=whole, text=self._openings[problem.id] + text)

    def score(self, problem: Problem, completion: Completion) -> Score:
        """Score the whole chain."""
        return self._grader.score(problem, self.join(problem, completion))

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """Return the scores unchanged: an ablation has no schedules."""
        return tuple(scores)


def _reflects(cut: CutChain, completion: Completion, tokenizer: Any) -> bool:
    """Return whether the continuation has a word of reflection."""
    before = cut.prompt.opening + decode(tokenizer, cut.written.tolist())
    return reflection.count_reflections(completion.text[len(before) :]) > 0


def _progress_of_arms(finished: Finished | None) -> list[Finished | None]:
    """Return for each arm what reports its progress as a share of the whole."""
    if finished is None:
        return [None] * len(ARMS)

    def report(before: int, done: int, total: int) -> None:
        finished(before * total + done, len(ARMS) * total)

    return [partial(report, number) for number in range(len(ARMS))]
