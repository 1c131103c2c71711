"""A step shared out among ranks: nothing is lost or learnt from twice, and all make as many passes."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dunwu.algorithms.batching import Microbatch, TrainStep, make_train_step
from dunwu.algorithms.dealing import deal, distribute
from dunwu.types import TrainSample

from .test_batching import made


def loss_tokens(batch: Microbatch) -> list[tuple[int, int, float]]:
    """(sample, column, advantage) of every token that carries loss; a sample is recognised by its token."""
    places = batch.loss_mask.nonzero().tolist()
    return [(int(batch.token_ids[b, t]), t, float(batch.advantages[b, t])) for b, t in places]


def of_step(step: TrainStep) -> list[tuple[int, int, float]]:
    return sorted(token for batch in step.microbatches for token in loss_tokens(batch))


def make_step(completions: list[int]) -> tuple[list[TrainSample], TrainStep]:
    samples = [made(index + 1, prompt=2 + index % 3, completion=length) for index, length in enumerate(completions)]
    return samples, make_train_step(samples, tokens_per_microbatch=64)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 100))
def test_every_token_goes_to_one_rank_and_all_make_as_many_passes(
    completions: list[int], ranks: int, budget: int
) -> None:
    _, step = make_step(completions)
    shares = distribute(step, ranks, budget)
    assert len(shares) == ranks
    assert sorted(token for share in shares for token in of_step(share)) == of_step(step)
    assert len({len(share.microbatches) for share in shares}) == 1
    for share in shares:
        assert (share.num_loss_tokens, share.num_sequences) == (step.num_loss_tokens, step.num_sequences)
        for batch in share.microbatches:
            assert len(batch.token_ids) == 1 or batch.token_ids.numel() <= budget


def test_33_samples_are_dealt_evenly() -> None:
    _, step = make_step([1 + (7 * index) % 23 for index in range(33)])
    tokens = [sum(int(batch.loss_mask.sum()) for batch in share.microbatches) for share in distribute(step, 4, 64)]
    assert sum(tokens) == step.num_loss_tokens
    assert max(tokens) - min(tokens) <= 23


def test_one_long_sequence_has_a_rank_for_itself() -> None:
    assert deal([100, 5, 5, 5, 5], 3) == [[0], [1, 3], [2, 4]]


def test_who_has_nothing_gets_microbatches_without_loss() -> None:
    _, step = make_step([9, 3])
    *_, idle = distribute(step, 4, 64)
    (batch,) = idle.microbatches
    assert not batch.loss_mask.any()
    assert batch.token_ids.shape == (1, 2)
    assert batch.group_ids == ()
    assert batch.old_logprobs is not None  # what the loss reads is there, as in the others
    assert batch.returns is None


def test_a_row_is_what_it_was_up_to_its_last_token_with_loss() -> None:
    samples, step = make_step([4, 9, 2])
    (share,) = distribute(step, 1, 1000)
    (whole,), (again,) = step.microbatches, share.microbatches
    rows = {int(row[0]): place for place, row in enumerate(again.token_ids)}
    for place, row in enumerate(whole.token_ids):
        length = len(samples[int(row[0]) - 1].sample.token_ids)
        for name in ("token_ids", "sampler_logprobs", "advantages", "old_logprobs", "ref_logprobs"):
            before, after = getattr(whole, name)[place], getattr(again, name)[rows[int(row[0])]]
            assert isinstance(after, Tensor)
            assert torch.equal(before[:length], after[:length])
            assert not after[length:].any()
