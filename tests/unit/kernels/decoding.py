"""The kernel that attends from one token a row, called by itself."""

from __future__ import annotations

from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from dunwu.kernels.library import call_kernel
from dunwu.kernels.operations import Heads


def decode(
    heads_BC: Float32[Tensor, "B A+K*D"],
    qkv_BC: Float32[Tensor, "B A+2K*D"],
    positions_B: Int64[Tensor, " B"],
    cache: tuple[Float32[Tensor, "S K T D"], Float32[Tensor, "S K T D"]],
    shared_B2: Int32[Tensor, "B 2"],
    heads: Heads,
) -> Float32[Tensor, "B A*D"]:
    """Write one token of each row to the cache, and attend to what the row holds up to it.

    Args:
        heads_BC: rotated queries and keys of the tokens.
        qkv_BC: where their values stand, behind queries and keys.
        positions_B: of the tokens; below T.
        cache: keys and values of rows 0..S-1, B of which are used.
        shared_B2: of each row another, or the same, that holds the same keys and values, and at how many positions.
        heads: how the rows are cut.
    """
    out = qkv_BC.new_empty(len(qkv_BC), heads.queries * heads.width)
    values = qkv_BC[:, (heads.queries + heads.keys) * heads.width :]
    places = heads_BC, values.data_ptr(), qkv_BC.shape[1], positions_B, shared_B2, *cache, cache[0].shape[2]
    call_kernel("dunwu_decode", *places, len(out), heads.queries, heads.keys, heads.width, heads.scale, out)
    return out
