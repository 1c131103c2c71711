"""Sharing a step out among the ranks that learn from it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dunwu.algorithms.batching import EMPTY_ROW, Microbatch, TrainStep, make_buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One sequence of a microbatch, up to its last token with loss: nothing behind that is read."""

    group_id: int
    tensors: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.tensors["loss_mask"])


def distribute(step: TrainStep, ranks: int, tokens_per_microbatch: int) -> list[TrainStep]:
    """Share out a step: every sequence goes to one rank, and all ranks get the same number of microbatches.

    Ranks go through their microbatches in step, so who has fewer gets some without loss. The denominators stay those of
    the whole step: the gradients of all ranks, added up, are those of one process.

    Args:
        step: of at least one sequence.
        ranks: how many learn together.
        tokens_per_microbatch: rows x longest, as for ``batching.make_buckets``.

    Returns:
        The share of each rank.
    """
    rows = [row for batch in step.microbatches for row in _split(batch)]
    groups, empty = [row.group_id for row in rows], _empty(rows[0])
    return [
        TrainStep(
            microbatches=tuple(_join([rows[i] for i in bucket]) if bucket else empty for bucket in buckets),
            num_loss_tokens=step.num_loss_tokens,
            num_sequences=step.num_sequences,
        )
        for buckets in deal_buckets([len(row) for row in rows], groups, tokens_per_microbatch, ranks)
    ]


def deal_buckets(lengths: Sequence[int], groups: Sequence[int], budget: int, ranks: int) -> list[list[list[int]]]:
    """Deal sequences out and cut what each rank has into buckets, as many for each: the last ones may be empty.

    Args:
        lengths: tokens of each sequence.
        groups: the group of each.
        budget: tokens of a bucket, see ``batching.make_buckets``.
        ranks: how many there are.

    Returns:
        For each rank the indices of each bucket's sequences.
    """
    shares = []
    for hand in deal(lengths, ranks):
        buckets = make_buckets([lengths[i] for i in hand], [groups[i] for i in hand], budget)
        shares.append([[hand[i] for i in bucket] for bucket in buckets])
    count = max(map(len, shares))
    return [share + [[]] * (count - len(share)) for share in shares]


def deal(lengths: Sequence[int], ranks: int) -> list[list[int]]:
    """Deal sequences out, the longest first, each to the rank that has the fewest tokens so far.

    Args:
        lengths: tokens of each sequence.
        ranks: how many there are.

    Returns:
        The indices of each rank's sequences, in ascending order; of fewer sequences than ranks some have none.
    """
    hands: list[list[int]] = [[] for _ in range(ranks)]
    tokens = [0] * ranks
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        rank = min(range(ranks), key=lambda r: (tokens[r], r))
        hands[rank].append(index)
        tokens[rank] += lengths[index]
    return [sorted(hand) for hand in hands]


def _split(batch: Microbatch) -> list[_Row]:
    tensors = _list_tensors(batch)
    columns_T = torch.arange(1, batch.loss_mask.shape[1] + 1)
    lengths_B = (columns_T * batch.loss_mask).amax(1).clamp(min=len(EMPTY_ROW)).tolist()
    return [
        _Row(group_id=group_id, tensors={name: tensor[row, :length] for name, tensor in tensors.items()})
        for row, (group_id, length) in enumerate(zip(batch.group_ids, lengths_B, strict=True))
    ]


def _join(rows: Sequence[_Row]) -> Microbatch:
    tensors = {name: pad_sequence([row.tensors[name] for row in rows], batch_first=True) for name in rows[0].tensors}
    return _make_microbatch(tensors, tuple(row.group_id for row in rows))


def _empty(like: _Row) -> Microbatch:
    """Make a microbatch without loss, of nobody's group."""
    shape = 1, len(EMPTY_ROW)
    return _make_microbatch({name: tensor.new_zeros(shape) for name, tensor in like.tensors.items()}, ())


def _list_tensors(batch: Microbatch) -> dict[str, Tensor]:
    named = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def _make_microbatch(tensors: dict[str, Tensor], group_ids: tuple[int, ...]) -> Microbatch:
    optional = dict.fromkeys(("old_logprobs", "ref_logprobs"))
    return Microbatch(**(optional | tensors), group_ids=group_ids)  # type: ignore[arg-type]
