"""From graded groups to what the trainer learns from. Advantages are made here, before any minibatch is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from dunwu.algorithms.algorithm import Algorithm
from dunwu.algorithms.filters import graded, informative, rewards, soft_overlong_punishment
from dunwu.types import Completion, Prompt, ScoredGroup, TrainSample


def to_samples(groups: Sequence[ScoredGroup], algorithm: Algorithm, max_new_tokens: int) -> list[TrainSample]:
    """One sample for each completion that carries loss, in the order of the groups.

    ``max_new_tokens`` is what this rollout allowed, and the limit of the punishment for length.

    Left out: completions whose verifier failed, uniform groups where the recipe drops them, groups of fewer than two
    graded completions, and truncated completions where the recipe masks them; the last still count in their group's
    baseline (DAPO, arXiv 2503.14476, section 3.4). ``group_id`` is the group's position in ``groups``.
    """
    spec = algorithm.spec
    samples = []
    for group_id, whole in enumerate(groups):
        scored = graded(whole)
        alone = len(scored.scores) < 2 and spec.advantage != "gae"  # which knows no siblings
        if not scored.scores or alone or (spec.drop_uniform_groups and not informative([scored])):
            continue
        completions = scored.group.completions
        rewards_G = _with_length_cost(scored, max_new_tokens, spec.overlong_buffer)
        advantages_G = algorithm.advantages(rewards_G)
        samples += [
            as_sample(
                scored.group.prompt,
                completion,
                advantage=float(advantage),
                reward=float(reward),
                group_id=group_id,
            )
            for completion, advantage, reward in zip(completions, advantages_G, rewards_G, strict=True)
            if not (spec.overlong == "mask" and completion.finish == "length")
        ]
    return samples


def _with_length_cost(scored: ScoredGroup, limit: int, buffer: int) -> Float64[np.ndarray, " G"]:
    lengths_G = np.array([len(completion.token_ids) for completion in scored.group.completions])
    cost_G = soft_overlong_punishment(lengths_G, limit=limit, buffer=buffer)
    costed_G: np.ndarray = rewards(scored) + cost_G
    return costed_G


def as_sample(prompt: Prompt, completion: Completion, *, advantage: float, reward: float, group_id: int) -> TrainSample:
    """Put prompt and completion in one row: every completion token carries loss, the end-of-sequence token too."""
    before, length = len(prompt.token_ids), len(prompt.token_ids) + len(completion.token_ids)
    sampler_logprobs = np.zeros(length, dtype=np.float32)
    sampler_logprobs[before:] = completion.logprobs
    loss_mask = np.arange(length) >= before
    return TrainSample(
        token_ids=np.concatenate([prompt.token_ids, completion.token_ids]).astype(np.int32),
        loss_mask=loss_mask,
        sampler_logprobs=sampler_logprobs,
        advantages=np.where(loss_mask, advantage, 0.0).astype(np.float32),
        group_id=group_id,
        reward=reward,
        policy_version=completion.policy_version,
    )
