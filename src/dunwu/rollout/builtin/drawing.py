"""Tokens of rows that differ in how they are sampled, and in what may come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from dunwu.rollout.builtin.sampler import draw_tokens
from dunwu.rollout.builtin.scheduler import Steering
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


def find_refused(
    tokens_B: Int64[Tensor, " B"], steered: Sequence[tuple[int, Steering]]
) -> list[tuple[int, Bool[Tensor, " V"]]]:
    """Find the rows whose token may not come, each with the tokens that may."""
    if not steered:
        return []
    tokens = tokens_B.tolist()
    allowed = ((row, steering.restrict()) for row, steering in steered)
    return [(row, found) for row, found in allowed if found is not None and not found[tokens[row]]]
