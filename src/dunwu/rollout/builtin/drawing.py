"""Tokens of rows that differ in how they are sampled, and in what may come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from dunwu.rollout.builtin.sampler import draw_tokens
from dunwu.rollout.builtin.scheduler import Allowed, Mask, Steering
from dunwu.types import Sampling

Kinds = list[tuple[Sampling, Int64[np.ndarray, " R"] | None]]
"""Samplings, and the rows that each is for; None: all."""


def draw_each(
    logits_BV: Float[Tensor, "B V"], uniforms_B: Float64[Tensor, " B"], kinds: Kinds
) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
    """Draw a token for each row by its own sampling; see ``draw_tokens``."""
    if kinds[0][1] is None:
        return draw_tokens(logits_BV, uniforms_B, kinds[0][0])
    tokens_B = torch.empty(len(logits_BV), dtype=torch.int64, device=logits_BV.device)
    logprobs_B = torch.empty(len(logits_BV), device=logits_BV.device)
    for sampling, places in kinds:
        place = torch.from_numpy(places).to(logits_BV.device)
        tokens_B[place], logprobs_B[place] = draw_tokens(logits_BV[place], uniforms_B[place], sampling)
    return tokens_B, logprobs_B


def pick_kinds(kinds: Kinds, rows_R: Int64[Tensor, " R"]) -> Kinds:
    """Find the samplings of some of the rows, counted among these."""
    if kinds[0][1] is None:
        return kinds
    rows = rows_R.cpu().numpy()
    picked = ((sampling, np.flatnonzero(np.isin(rows, places))) for sampling, places in kinds if places is not None)
    return [(sampling, places) for sampling, places in picked if len(places)]


def find_refused(tokens_B: Int64[Tensor, " B"], steered: Sequence[tuple[int, Steering]]) -> list[tuple[int, Allowed]]:
    """Find the rows whose token may not come, each with what may."""
    if not steered:
        return []
    tokens = tokens_B.tolist()
    allowed = ((row, steering.restrict(tokens[row])) for row, steering in steered)
    return [(row, found) for row, found in allowed if found is not None]


def draw_again(
    logits_RV: Float[Tensor, "R V"], uniforms_R: Float64[Tensor, " R"], kinds: Kinds, masks: Sequence[Mask]
) -> tuple[Int64[Tensor, " R"], Float32[Tensor, " R"]]:
    """Draw a token for each row among those that may come.

    Args:
        logits_RV: of rows whose first token may not; they are overwritten.
        uniforms_R: one number in [0, 1) for each.
        kinds: samplings of these rows.
        masks: of what may come in each; some may have more bits than there are tokens.
    """
    vocabulary = logits_RV.shape[1]
    packed = np.stack([mask[: -(-vocabulary // 8)] for mask in masks])
    refused_RV = np.unpackbits(~packed, axis=1, count=vocabulary, bitorder="little").view(np.bool_)
    logits_RV.masked_fill_(torch.from_numpy(refused_RV).to(logits_RV.device), -torch.inf)
    return draw_each(logits_RV, uniforms_R, kinds)
