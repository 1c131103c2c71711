"""From graded groups to samples: what enters, what leaves, and which numbers it carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dunwu.algorithms import compute_rewards, keep_informative, to_samples
from dunwu.algorithms.filters import punish_overlong
from dunwu.config.schema import AlgorithmSpec
from dunwu.types import (
    Completion,
    Finish,
    GradedSample,
    Message,
    Problem,
    Prompt,
    RolloutGroup,
    Score,
    ScoredGroup,
    Status,
    VersionSpan,
)

PROBLEM = Problem(
    id="p",
    task="t",
    kind="math",
    level=1,
    language="en",
    messages=(Message(role="user", content="?"),),
    gold="1",
)


def group(
    rewards: Sequence[float],
    statuses: Sequence[Status] | None = None,
    finishes: Sequence[Finish] | None = None,
    lengths: Sequence[int] | None = None,
) -> ScoredGroup:
    """A group whose i-th completion has tokens 100 i, 100 i + 1, ... and log-probabilities -1, -2, ..."""
    count = len(rewards)
    statuses, finishes = statuses or ["graded"] * count, finishes or ["stop"] * count
    lengths = lengths or [2] * count
    completions = tuple(
        Completion(
            token_ids=np.arange(100 * i, 100 * i + lengths[i], dtype=np.int32),
            logprobs=-np.arange(1, lengths[i] + 1, dtype=np.float32),
            text="",
            finish=finishes[i],
            version_spans=(VersionSpan(version=3, start=0, end=lengths[i]),),
        )
        for i in range(count)
    )
    scores = tuple(
        Score(value=rewards[i], parts={}, status=statuses[i], extracted=None, reason="") for i in range(count)
    )
    prompt = Prompt(problem=PROBLEM, token_ids=np.array([7, 8, 9], dtype=np.int32))
    return ScoredGroup(group=RolloutGroup(prompt=prompt, completions=completions), scores=scores)


def samples_of(
    groups: Sequence[ScoredGroup], limit: int = 8, **spec: Any
) -> tuple[list[GradedSample], list[list[float]]]:
    """The samples, and the rewards of their groups."""
    recipe = AlgorithmSpec(**spec)
    rewards = compute_rewards(groups, recipe, limit)
    return to_samples(groups, rewards, recipe), [rewards_G.tolist() for rewards_G in rewards]


def test_a_sample_is_prompt_and_completion_in_one_row() -> None:
    samples, _ = samples_of([group([1, 1]), group([1, 0])])
    sample = samples[3]
    assert sample.token_ids.tolist() == [7, 8, 9, 100, 101]
    assert sample.loss_mask.tolist() == [False, False, False, True, True]
    assert sample.sampler_logprobs.tolist() == [0, 0, 0, -1, -2]
    assert (sample.group_id, sample.member, sample.reward, sample.policy_version) == (1, 1, 0.0, 3)


def test_a_failed_verifier_is_no_zero_reward() -> None:
    failed = group([1, 0, 0, 2], statuses=["graded", "verifier_failed", "verifier_failed", "graded"])
    samples, rewards = samples_of([failed])
    assert rewards == [[1.0, 2.0]]
    assert [(sample.member, sample.reward, int(sample.token_ids[-1])) for sample in samples] == [(0, 1, 1), (1, 2, 301)]


def test_one_graded_completion_has_nobody_to_compare_with() -> None:
    lonely = group([1, 0], statuses=["graded", "verifier_failed"])
    assert samples_of([lonely], advantage="leave-one-out")[0] == []
    assert len(samples_of([lonely], advantage="gae")[0]) == 1


def test_uniform_groups_stay_or_leave() -> None:
    groups = [group([1, 1]), group([0, 1]), group([0, 0])]
    kept, _ = samples_of(groups)
    assert [sample.group_id for sample in kept] == [0, 0, 1, 1, 2, 2]
    dropped, _ = samples_of(groups, drop_uniform_groups=True)
    assert [sample.group_id for sample in dropped] == [1, 1]
    assert keep_informative(groups) == [groups[1]]


def test_a_group_that_is_uniform_but_for_failures_is_uniform() -> None:
    assert keep_informative([group([1, 1, 0], statuses=["graded", "graded", "verifier_failed"])]) == []


def test_a_group_whose_verifier_failed_throughout_teaches_nothing() -> None:
    failed = group([1, 0], statuses=["verifier_failed"] * 2)
    lonely = group([1, 0], statuses=["graded", "verifier_failed"])
    learned = group([1, 0])
    assert keep_informative([failed, lonely, learned]) == [learned]
    for advantage in ("group-std", "gae"):
        samples, rewards = samples_of([failed, learned], advantage=advantage)
        assert {sample.group_id for sample in samples} == {1}
        assert rewards == [[], [1.0, 0.0]]


def test_masked_truncated_completions_count_among_the_rewards_only() -> None:
    truncated = group([1, 0, 2], finishes=["stop", "length", "stop"])
    samples, rewards = samples_of([truncated], overlong="mask")
    assert rewards == [[1.0, 0.0, 2.0]]
    assert [(sample.member, sample.reward) for sample in samples] == [(0, 1.0), (2, 2.0)]


def test_overlong_punishment() -> None:
    lengths = np.array([50, 80, 85, 90, 100, 120])
    assert punish_overlong(lengths, limit=100, buffer=20).tolist() == [0, 0, -0.25, -0.5, -1, -1]
    assert punish_overlong(lengths, limit=100, buffer=0).tolist() == [0] * 6


def test_the_punishment_is_part_of_the_reward_and_follows_the_limit_of_the_rollout() -> None:
    """With a context that has grown from 8 to 12 tokens nothing here is overlong."""
    groups = [group([1, 1], lengths=[2, 8])]
    samples, rewards = samples_of(groups, limit=8, overlong_buffer=4)
    assert rewards == [[1.0, 0.0]]
    assert [sample.reward for sample in samples] == [1.0, 0.0]
    assert samples_of(groups, limit=12, overlong_buffer=4)[1] == [[1.0, 1.0]]
