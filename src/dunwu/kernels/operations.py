"""The kernels on torch's tensors: single precision, contiguous, on the CPU.

N tokens, H hidden size, A query heads, K key-value heads, D head dimension, F intermediate size. Each function says
which formula it is; tests hold it to the same in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int32, Int64
from torch import Tensor

from dunwu.kernels.library import call_kernel, count_threads

BLOCK_ROWS = 64
"""Query rows that attention works on at once: what fits the nearest caches beside a tile of keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """How a layer's queries, keys and values are cut.

    Attributes:
        queries: A, query heads.
        keys: K, key-value heads, which divide A.
        width: D.
        scale: of the scores.
        epsilon: of the heads' norms.
    """

    queries: int
    keys: int
    width: int
    scale: float
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Tokens of a prefix tree, numbered so that a row's own tokens follow each other.

    Attributes:
        segments: starts, stops and parents of its S stretches without a branch; -1 is the parent of a first one.
        positions: of each token on its path, from 0.
    """

    segments: Int32[np.ndarray, "3 S"]
    positions: Int64[Tensor, " N"]

    def cut(self, group: int, wanted: Int64[np.ndarray, " W"] | None = None) -> Int32[np.ndarray, "B 3"]:
        """Cut segments into blocks (segment, start, stop) of so many tokens that attention works on at once.

        Args:
            group: query heads that share a key head.
            wanted: in ascending order, the tokens that must be in a block; None: all.
        """
        starts, stops, _ = self.segments
        size = max(1, BLOCK_ROWS // group)
        counts = -(-(stops - starts) // size)
        segment = np.repeat(np.arange(len(starts), dtype=np.int32), counts)
        within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
        first = starts[segment] + within * size
        blocks = np.stack([segment, first, np.minimum(first + size, stops[segment])], axis=1).astype(np.int32)
        if wanted is None or len(wanted) == len(self.positions):
            return blocks
        before, behind = np.searchsorted(wanted, blocks[:, 1:].T)
        return np.compress(behind > before, blocks, axis=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Positions:
    """Rotary tables: cosines and sines of T positions, and the tokens' positions."""

    cosines: Float32[Tensor, "T D"]
    sines: Float32[Tensor, "T D"]
    of_tokens: Int64[Tensor, " N"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadNorms:
    """Weights of the norms of query and key heads (Qwen3); None where the model has none."""

    query: Float32[Tensor, " D"] | None = None
    key: Float32[Tensor, " D"] | None = None


def normalize(
    x_NH: Float32[Tensor, "N H"], weight_H: Float32[Tensor, " H"], epsilon: float
) -> tuple[Float32[Tensor, "N H"], Float32[Tensor, " N"]]:
    """Compute RMS norm: x / sqrt(mean(x^2) + epsilon) x weight.

    Returns:
        The result, and the inverse roots that ``normalize_backward`` needs.
    """
    out_NH, rms_N = torch.empty_like(x_NH), x_NH.new_empty(len(x_NH))
    call_kernel("dunwu_rms_norm", x_NH, weight_H, out_NH, rms_N, *x_NH.shape, epsilon)
    return out_NH, rms_N


def normalize_backward(
    grad_NH: Float32[Tensor, "N H"],
    x_NH: Float32[Tensor, "N H"],
    weight_H: Float32[Tensor, " H"],
    rms_N: Float32[Tensor, " N"],
    total_NH: Float32[Tensor, "N H"],
    total_H: Float32[Tensor, " H"],
) -> None:
    """Add the gradients of ``normalize`` to others, in place.

    Args:
        grad_NH: of the result.
        x_NH: what was normalized.
        weight_H: the norm's.
        rms_N: what ``normalize`` gave.
        total_NH: the gradient that x has from elsewhere; x's is added.
        total_H: likewise of the weight.
    """
    arrays = (grad_NH, x_NH, weight_H, rms_N, total_NH, total_H)
    call_kernel("dunwu_rms_norm_backward", *arrays, *x_NH.shape, count_threads())


def rotate(
    qkv_NC: Float32[Tensor, "N A+2K*D"], positions: Positions, heads: Heads, norms: HeadNorms
) -> Float32[Tensor, "N A+K*D"]:
    """Normalize queries and keys head by head, and turn them by their positions (Su et al. 2021).

    Args:
        qkv_NC: queries, keys and values of each token, one behind the other.
        positions: rotary tables and the tokens' places in them.
        heads: how the rows are cut.
        norms: of the heads.
    """
    out = qkv_NC.new_empty(len(qkv_NC), (heads.queries + heads.keys) * heads.width)
    call_kernel(
        "dunwu_rotate", qkv_NC, qkv_NC.shape[1], *_turning(positions, heads, norms), out, *_sizes(qkv_NC, heads)
    )
    return out


def rotate_backward(
    grad_NC: Float32[Tensor, "N A+2K*D"],
    qkv_NC: Float32[Tensor, "N A+2K*D"],
    positions: Positions,
    heads: Heads,
    norms: HeadNorms,
) -> HeadNorms:
    """Turn gradients of rotated queries and keys into those of ``qkv_NC``, in place.

    Returns:
        The gradients of the norms' weights.
    """
    grads = HeadNorms(query=_zeros(norms.query), key=_zeros(norms.key))
    call_kernel(
        "dunwu_rotate_backward",
        grad_NC,
        qkv_NC,
        qkv_NC.shape[1],
        *_turning(positions, heads, norms),
        grads.query,
        grads.key,
        *_sizes(qkv_NC, heads),
        count_threads(),
    )
    return grads


def attend(
    heads_NC: Float32[Tensor, "N A+K*D"],
    qkv_NC: Float32[Tensor, "N A+2K*D"],
    tree: Tree,
    heads: Heads,
) -> tuple[Float32[Tensor, "N A*D"], Float32[Tensor, "N A"]]:
    """Compute softmax(scale x queries keys^T) values of each token over its own path, itself included.

    Args:
        heads_NC: rotated queries and keys.
        qkv_NC: where the values stand, behind queries and keys.
        tree: who is on whose path.
        heads: how the rows are cut.

    Returns:
        The result, and log of the sum of exp(scores), which the backward needs.
    """
    tokens = len(qkv_NC)
    out, lse_NA = qkv_NC.new_empty(tokens, heads.queries * heads.width), qkv_NC.new_empty(tokens, heads.queries)
    blocks = tree.cut(heads.queries // heads.keys)
    queries, step = heads_NC, heads_NC.shape[1]
    keys = heads_NC[:, heads.queries * heads.width :].data_ptr()
    call_kernel("dunwu_attend", queries, step, keys, step, *_attention(qkv_NC, tree, blocks, heads), out, lse_NA)
    return out, lse_NA


def attend_backward(
    grad_NC: Float32[Tensor, "N A*D"],
    heads_NC: Float32[Tensor, "N A+K*D"],
    qkv_NC: Float32[Tensor, "N A+2K*D"],
    tree: Tree,
    heads: Heads,
    out_NC: Float32[Tensor, "N A*D"],
    lse_NA: Float32[Tensor, "N A"],
) -> Float32[Tensor, "N A+2K*D"]:
    """Compute the gradients of ``attend`` to rotated queries and keys, and to values, in rows as those of ``qkv_NC``.

    Source: Dao 2023, FlashAttention-2, with a path of the tree in place of a row's tokens.
    """
    grad_qkv = torch.empty_like(qkv_NC)
    blocks = tree.cut(heads.queries // heads.keys)
    shares = _count_shares(count_threads(), heads.keys)
    values = (heads.queries + heads.keys) * heads.width
    call_kernel(
        "dunwu_attend_backward",
        heads_NC,
        heads_NC.shape[1],
        *_attention(qkv_NC, tree, blocks, heads),
        out_NC,
        lse_NA,
        grad_NC,
        grad_qkv,
        grad_qkv[:, values:].data_ptr(),
        grad_qkv.shape[1],
        len(qkv_NC),
        shares,
    )
    return grad_qkv


def gate(gate_up_NC: Float32[Tensor, "N 2F"]) -> Float32[Tensor, "N F"]:
    """Compute silu(gate) x up (Shazeer 2020)."""
    tokens, both = gate_up_NC.shape
    out_NF = gate_up_NC.new_empty(tokens, both // 2)
    call_kernel("dunwu_swiglu", gate_up_NC, out_NF, tokens, both // 2)
    return out_NF


def gate_backward(
    grad_NF: Float32[Tensor, "N F"], gate_up_NC: Float32[Tensor, "N 2F"]
) -> tuple[Float32[Tensor, "N 2F"], Float32[Tensor, "N F"]]:
    """Compute the gradient of ``gate``, and its result once more."""
    grad_NC, out_NF = torch.empty_like(gate_up_NC), torch.empty_like(grad_NF)
    call_kernel("dunwu_swiglu_backward", grad_NF, gate_up_NC, grad_NC, out_NF, *grad_NF.shape)
    return grad_NC, out_NF


def score(
    logits_CV: Float32[Tensor, "C V"], targets_C: Int64[Tensor, " C"], temperature: float
) -> tuple[Float32[Tensor, " C"], Float32[Tensor, " C"], Float32[Tensor, " C"]]:
    """Compute log-probabilities of targets under softmax(logits / temperature).

    Returns:
        The log-probabilities, the entropies, and log of the sum of exp(logits / temperature).
    """
    results = logits_CV.new_empty(3, len(logits_CV))
    call_kernel("dunwu_score", logits_CV, targets_C, 1.0 / temperature, *results, *logits_CV.shape)
    values_C, entropy_C, normalizer_C = results
    return values_C, entropy_C, normalizer_C


def score_backward(
    logits_CV: Float32[Tensor, "C V"],
    targets_C: Int64[Tensor, " C"],
    temperature: float,
    normalizer_C: Float32[Tensor, " C"],
    grad_C: Float32[Tensor, " C"],
) -> None:
    """Turn logits into the gradient of the log-probabilities that ``score`` gives, in place.

    Args:
        logits_CV: as they were for ``score``.
        targets_C: likewise.
        temperature: likewise.
        normalizer_C: what ``score`` gave.
        grad_C: of each log-probability.
    """
    call_kernel("dunwu_score_backward", logits_CV, targets_C, 1.0 / temperature, normalizer_C, grad_C, *logits_CV.shape)


def draw(
    logits_BV: Float32[Tensor, "B V"], uniforms_B: Float64[Tensor, " B"], temperature: float
) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
    """Draw a token for each row by inverting the cumulative softmax(logits / temperature).

    Args:
        logits_BV: of the next token.
        uniforms_B: one number in [0, 1) for each row.
        temperature: above 0.

    Returns:
        The tokens and their log-probabilities.
    """
    tokens_B = torch.empty(len(logits_BV), dtype=torch.int64)
    logprobs_B = logits_BV.new_empty(len(logits_BV))
    call_kernel("dunwu_draw", logits_BV, uniforms_B, 1.0 / temperature, tokens_B, logprobs_B, *logits_BV.shape)
    return tokens_B, logprobs_B


def _count_shares(threads: int, keys: int) -> int:
    """Count the parts of a head's blocks that keep most threads at work; each part has sums of its own in memory."""
    least = -(-threads // keys)

    def idle(shares: int) -> float:
        tasks = shares * keys
        return -(-tasks // threads) * threads / tasks

    return min(range(least, 2 * least + 1), key=idle)


def _zeros(like: Tensor | None) -> Tensor | None:
    return None if like is None else torch.zeros_like(like)


def _turning(positions: Positions, heads: Heads, norms: HeadNorms) -> tuple[Tensor | float | None, ...]:
    tables = positions.cosines, positions.sines, positions.of_tokens
    return *tables, norms.query, norms.key, heads.epsilon


def _sizes(qkv_NC: Tensor, heads: Heads) -> tuple[int, ...]:
    return len(qkv_NC), heads.queries, heads.keys, heads.width


def _attention(qkv_NC: Tensor, tree: Tree, blocks: np.ndarray, heads: Heads) -> tuple[Tensor | np.ndarray | float, ...]:
    values = qkv_NC[:, (heads.queries + heads.keys) * heads.width :]
    places = values.data_ptr(), qkv_NC.shape[1]
    shape = heads.queries, heads.keys, heads.width, heads.scale
    return *places, *tree.segments, tree.positions, blocks, len(blocks), *shape
