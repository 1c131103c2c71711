"""Splits, buckets, padding and denominators."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dunwu.algorithms.batching import TrainStep, cut_minibatches, make_buckets, make_train_step
from dunwu.config.schema import UpdateSpec
from dunwu.types import GradedSample, SampleLogprobs, TrainSample


def made(index: int, prompt: int, completion: int) -> TrainSample:
    """A sample that is recognised by its token, ``index``."""
    mask = np.arange(prompt + completion) >= prompt
    ones = mask.astype(np.float32)
    sample = GradedSample(
        token_ids=np.full(len(mask), index, dtype=np.int32),
        loss_mask=mask,
        sampler_logprobs=-ones,
        group_id=index // 4,
        member=index % 4,
        reward=0.0,
        policy_version=0,
    )
    logprobs = SampleLogprobs(old_logprobs=-2 * ones, ref_logprobs=-3 * ones)
    advantages = ones * index
    return TrainSample(
        sample=sample, logprobs=logprobs, advantages=advantages, returns=None, kept_advantages=advantages
    )


def members(step: TrainStep) -> set[int]:
    return {int(row[0]) for batch in step.microbatches for row in batch.token_ids}


SAMPLES = [made(index, prompt=2 + index % 3, completion=1 + (7 * index) % 11) for index in range(30)]


def test_a_cut_is_a_random_split_that_breaks_groups() -> None:
    spec = UpdateSpec(minibatches=4, tokens_per_microbatch=32)
    steps = list(cut_minibatches(SAMPLES, spec, seed=5))
    parts = [members(step) for step in steps]
    assert [len(part) for part in parts] == [8, 8, 7, 7]
    assert set().union(*parts) == set(range(30))
    assert any(len({index // 4 for index in part}) > 2 for part in parts)
    assert [members(step) for step in cut_minibatches(SAMPLES, spec, seed=5)] == parts
    assert [members(step) for step in cut_minibatches(SAMPLES, spec, seed=6)] != parts


def test_denominators_count_the_whole_step() -> None:
    for step in cut_minibatches(SAMPLES, UpdateSpec(minibatches=3, tokens_per_microbatch=32), seed=0):
        assert step.num_sequences == sum(len(batch.token_ids) for batch in step.microbatches)
        assert step.num_loss_tokens == sum(int(batch.loss_mask.sum()) for batch in step.microbatches)
        assert len(step.microbatches) > 1


def test_fewer_samples_than_minibatches_make_fewer_steps() -> None:
    spec = UpdateSpec(minibatches=4)
    assert [step.num_sequences for step in cut_minibatches(SAMPLES[:3], spec, seed=0)] == [1, 1, 1]
    assert list(cut_minibatches([], spec, seed=0)) == []


def test_padding_is_on_the_right_and_zero() -> None:
    (batch,) = make_train_step([made(5, 2, 1), made(6, 2, 3)], tokens_per_microbatch=100).microbatches
    assert batch.token_ids.tolist() == [[6, 6, 6, 6, 6], [5, 5, 5, 0, 0]]
    assert batch.loss_mask.tolist() == [[False, False, True, True, True], [False, False, True, False, False]]
    assert batch.advantages.tolist() == [[0, 0, 6, 6, 6], [0, 0, 5, 0, 0]]
    assert batch.sampler_logprobs.tolist() == [[0, 0, -1, -1, -1], [0, 0, -1, 0, 0]]
    assert batch.old_logprobs is not None
    assert batch.old_logprobs.tolist() == [[0, 0, -2, -2, -2], [0, 0, -2, 0, 0]]
    assert batch.ref_logprobs is not None
    assert batch.ref_logprobs.tolist() == [[0, 0, -3, -3, -3], [0, 0, -3, 0, 0]]
    assert batch.group_ids == (1, 1)


@given(st.lists(st.integers(1, 40), max_size=40), st.integers(1, 100))
def test_buckets_hold_everything_once_within_the_budget(lengths: list[int], budget: int) -> None:
    parts = make_buckets(lengths, [index // 4 for index in range(len(lengths))], budget)
    assert sorted(index for part in parts for index in part) == list(range(len(lengths)))
    for part in parts:
        assert len(part) == 1 or len(part) * max(lengths[index] for index in part) <= budget


def test_buckets_keep_groups_together_and_like_lengths_beside_each_other() -> None:
    lengths = [3, 9, 4, 4, 20, 2, 2, 20, 9, 9, 9, 8]  # three groups of four
    groups = [index // 4 for index in range(12)]
    assert make_buckets(lengths, groups, budget=80) == [[4, 7, 5, 6], [1, 2, 3, 0, 8, 9, 10, 11]]
    assert make_buckets(lengths, groups, budget=40) == [[4, 7], [5, 6, 1, 2], [3, 0, 8, 9], [10, 11]]
