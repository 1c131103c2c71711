"""Cutting a rollout into optimizer steps, and steps into microbatches. Here numpy becomes torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from dunwu.config.schema import UpdateSpec
from dunwu.types import TrainSample

EMPTY_ROW = np.zeros(2, dtype=np.int64)
"""Two tokens of which no loss is wanted: a pass that is made because other ranks make one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Microbatch:
    """B samples of T tokens, padded on the right with zeros: what one forward and backward pass holds.

    ``old_logprobs`` is None where the policy that trains is itself the old one,
    ``ref_logprobs`` where the KL weight is 0, ``old_values`` and ``returns`` where there is no value network.
    """

    token_ids: Int64[Tensor, "B T"]
    loss_mask: Bool[Tensor, "B T"]
    sampler_logprobs: Float32[Tensor, "B T"]
    advantages: Float32[Tensor, "B T"]
    old_logprobs: Float32[Tensor, "B T"] | None
    ref_logprobs: Float32[Tensor, "B T"] | None
    group_ids: tuple[int, ...]
    old_values: Float32[Tensor, "B T"] | None = None
    returns: Float32[Tensor, "B T"] | None = None

    def to(self, device: torch.device) -> Microbatch:
        """Return the same on another device."""
        moved = {one.name: getattr(self, one.name) for one in fields(self)}
        moved = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in moved.items()}
        return Microbatch(**moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStep:
    """One optimizer step. The denominators count the whole step, over every microbatch and rank."""

    microbatches: tuple[Microbatch, ...]
    num_loss_tokens: int
    num_sequences: int


def cut_minibatches(samples: Sequence[TrainSample], spec: UpdateSpec, seed: int) -> Iterator[TrainStep]:
    """Cut one epoch into ``spec.minibatches`` steps: a random split that breaks groups apart.

    The parts differ by one sample at most; fewer samples than minibatches make fewer steps, none make none
    (R1, arXiv 2501.12948v2, section 2).

    Args:
        samples: of one rollout, with their advantages.
        spec: how many parts, and how large a microbatch is.
        seed: of the split.
    """
    order = np.random.default_rng(seed).permutation(len(samples))
    for part in np.array_split(order, spec.minibatches):
        if len(part):
            yield make_train_step([samples[i] for i in part], spec.tokens_per_microbatch)


def make_train_step(samples: Sequence[TrainSample], tokens_per_microbatch: int) -> TrainStep:
    """Make one step of all of ``samples``."""
    plain = [one.sample for one in samples]
    lengths, groups = [len(sample.token_ids) for sample in plain], [sample.group_id for sample in plain]
    parts = make_buckets(lengths, groups, tokens_per_microbatch)
    return TrainStep(
        microbatches=tuple(make_microbatch([samples[i] for i in bucket]) for bucket in parts),
        num_loss_tokens=sum(int(sample.loss_mask.sum()) for sample in plain),
        num_sequences=len(samples),
    )


def make_buckets(lengths: Sequence[int], groups: Sequence[int], budget: int) -> list[list[int]]:
    """Group sequences so that rows x longest of each bucket is at most ``budget`` tokens, padding included.

    A sequence longer than that is alone in its bucket. A group stays together, because what its sequences share is
    computed once (``models.packing``); groups of like length are neighbours, the longest first: little is padded.

    Args:
        lengths: tokens of each sequence.
        groups: the group of each.
        budget: tokens of a bucket.

    Returns:
        The indices of each bucket's sequences.
    """
    longest: dict[int, int] = {}
    for length, group in zip(lengths, groups, strict=True):
        longest[group] = max(longest.get(group, 0), length)
    result: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-longest[groups[i]], groups[i], -lengths[i], i)):
        if not result or (len(result[-1]) + 1) * max(width, lengths[index]) > budget:
            result.append([])
            width = 0
        result[-1].append(index)
        width = max(width, lengths[index])
    return result


def make_microbatch(samples: Sequence[TrainSample]) -> Microbatch:
    """Pad samples to the longest. Either all have old (reference) log-probabilities or none has."""

    def padded(rows: Sequence[np.ndarray]) -> Tensor:
        return pad_rows(rows, torch.float32)

    plain = [one.sample for one in samples]
    return Microbatch(
        token_ids=pad_rows([sample.token_ids for sample in plain], torch.int64),
        loss_mask=pad_rows([sample.loss_mask for sample in plain], torch.bool),
        sampler_logprobs=padded([sample.sampler_logprobs for sample in plain]),
        advantages=padded([one.advantages for one in samples]),
        old_logprobs=_if_all(padded, [one.logprobs.old_logprobs for one in samples]),
        ref_logprobs=_if_all(padded, [one.logprobs.ref_logprobs for one in samples]),
        group_ids=tuple(sample.group_id for sample in plain),
        old_values=_if_all(padded, [one.logprobs.old_values for one in samples]),
        returns=_if_all(padded, [one.returns for one in samples]),
    )


def pad_rows(rows: Sequence[np.ndarray], dtype: torch.dtype) -> Tensor:
    """Make one matrix of rows of unlike length, zeros on the right."""
    matrix = torch.zeros(len(rows), max(len(row) for row in rows), dtype=dtype)
    for i, row in enumerate(rows):
        matrix[i, : len(row)] = torch.from_numpy(row)
    return matrix


def _if_all(padded: Callable[[Sequence[np.ndarray]], Tensor], rows: Sequence[np.ndarray | None]) -> Tensor | None:
    present = [row for row in rows if row is not None]
    assert len(present) in (0, len(rows)), "some samples of a microbatch have log-probabilities and some have none"
    return padded(present) if present else None
