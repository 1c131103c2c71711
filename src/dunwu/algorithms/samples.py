"""From graded groups to samples: one row of tokens for each completion that carries loss, with its reward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from dunwu.algorithms.filters import keep_graded, keep_informative, punish_overlong, read_rewards
from dunwu.algorithms.group_baselines import GAE
from dunwu.config.schema import AlgorithmSpec
from dunwu.types import Completion, GradedSample, Prompt, ScoredGroup


def compute_rewards(
    groups: Sequence[ScoredGroup], spec: AlgorithmSpec, max_new_tokens: int
) -> list[Float64[np.ndarray, " G"]]:
    """Return each group's rewards: of its graded completions, in their order, with the recipe's cost for length.

    Args:
        groups: of one rollout.
        spec: the recipe's.
        max_new_tokens: what this rollout allowed, and the limit of the punishment for length.
    """
    return [_with_length_cost(keep_graded(group), max_new_tokens, spec.overlong_buffer) for group in groups]


def to_samples(
    groups: Sequence[ScoredGroup], rewards: Sequence[Float64[np.ndarray, " G"]], spec: AlgorithmSpec
) -> list[GradedSample]:
    """Make one sample of each completion that carries loss, in the order of the groups.

    Left out: completions whose verifier failed, uniform groups where the recipe drops them, groups of fewer than two
    graded completions, and truncated completions where the recipe masks them; the last still count in their group's
    baseline (DAPO, arXiv 2503.14476, section 3.4).

    Args:
        groups: of one rollout; ``group_id`` is the place here.
        rewards: see ``compute_rewards``.
        spec: the recipe's.
    """
    samples = []
    for group_id, (whole, rewards_G) in enumerate(zip(groups, rewards, strict=True)):
        scored = keep_graded(whole)
        alone = len(scored.scores) < 2 and spec.advantage != GAE  # a value network needs no siblings
        if not scored.scores or alone or (spec.drop_uniform_groups and not keep_informative([scored])):
            continue
        samples += [
            to_sample(
                scored.group.prompt, completion, reward=float(rewards_G[member]), group_id=group_id, member=member
            )
            for member, completion in enumerate(scored.group.completions)
            if not (spec.overlong == "mask" and completion.finish == "length")
        ]
    return samples


def _with_length_cost(scored: ScoredGroup, limit: int, buffer: int) -> Float64[np.ndarray, " G"]:
    lengths_G = np.array([len(completion.token_ids) for completion in scored.group.completions], dtype=np.int64)
    costed_G: np.ndarray = read_rewards(scored) + punish_overlong(lengths_G, limit=limit, buffer=buffer)
    return costed_G


def to_sample(prompt: Prompt, completion: Completion, *, reward: float, group_id: int, member: int) -> GradedSample:
    """Put prompt and completion in one row: every completion token carries loss, the end-of-sequence token too.

    Args:
        prompt: what was asked.
        completion: what the policy wrote.
        reward: the completion's.
        group_id: its group's place in the rollout.
        member: its place among the group's graded completions.
    """
    before, length = len(prompt.token_ids), len(prompt.token_ids) + len(completion.token_ids)
    sampler_logprobs = np.zeros(length, dtype=np.float32)
    sampler_logprobs[before:] = completion.logprobs
    return GradedSample(
        token_ids=np.concatenate([prompt.token_ids, completion.token_ids]).astype(np.int32),
        loss_mask=np.arange(length) >= before,
        sampler_logprobs=sampler_logprobs,
        group_id=group_id,
        member=member,
        reward=reward,
        policy_version=completion.policy_version,
    )
