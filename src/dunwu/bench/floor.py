"""How fast a rollout and a step could be on this machine, were they only matrix products and reads of memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dunwu.bench.machine import ProductRates, list_products, measure_bandwidth


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeCost:
    """What one decoded token costs.

    Attributes:
        matrix_flops: Operations of its matrix products.
        flops_per_position: Operations of attention for each cached position.
        bytes_per_position: Bytes that are read for each cached position.
        weight_bytes: Bytes of the matrices, which are read once for all sequences that decode at once.
    """

    matrix_flops: float
    flops_per_position: float
    bytes_per_position: float
    weight_bytes: float


def compute_decode_cost(model: Any) -> DecodeCost:
    """Compute the cost of a decoder of the Llama family; its cache is counted in the type of its weights.

    Two operations a weight (the embedding is a look-up where it is not the output matrix too), and the two products of
    attention.
    """
    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    size = model.dtype.itemsize
    weights = sum(count * rows * columns for (rows, columns), count in list_products(model).items())
    return DecodeCost(
        matrix_flops=2.0 * weights,
        flops_per_position=4.0 * config.num_attention_heads * width * config.num_hidden_layers,
        bytes_per_position=2.0 * config.num_key_value_heads * width * config.num_hidden_layers * size,
        weight_bytes=float(size * weights),
    )


def compute_floor(
    cost: DecodeCost, prompt_tokens: float, completion_lengths: Sequence[int], sequences: int, product_flops: float
) -> float:
    """Compute how many tokens a second this machine could decode.

    It does arithmetic at the products' speed, or reads weights and cache at a plain read's, whichever takes longer. A
    group's prompt is counted as read by every completion, because each attends to it.

    Args:
        cost: What a token costs.
        prompt_tokens: Mean length of the prompts.
        completion_lengths: Tokens of each completion.
        sequences: How many decode at once.
        product_flops: Operations a second of matrix products.
    """
    tokens = sum(completion_lengths)
    positions = _count_positions(prompt_tokens, completion_lengths)
    arithmetic = (cost.matrix_flops * tokens + cost.flops_per_position * positions) / product_flops
    return tokens / max(arithmetic, _read_seconds(cost, positions, completion_lengths, sequences))


def compute_step_seconds(
    cost: DecodeCost, prompt_lengths: Sequence[int], completion_lengths: Sequence[int], rates: ProductRates
) -> float:
    """Compute the seconds of a step that were its matrix products and what decoding reads.

    Two operations a weight and token forward: once to generate, once for the reference, once to train; backward twice
    as much. Prompts are counted once a group. Attention, embeddings and everything else are left out. To generate
    takes at least as long as reading weights and cache.

    Args:
        cost: What a token costs.
        prompt_lengths: Tokens of each prompt.
        completion_lengths: Tokens of each completion; all decode at once.
        rates: Of the products.
    """
    products = cost.matrix_flops * (sum(completion_lengths) + sum(prompt_lengths))
    positions = _count_positions(sum(prompt_lengths) / len(prompt_lengths), completion_lengths)
    reads = _read_seconds(cost, positions, completion_lengths, len(completion_lengths))
    return max(products / rates.decode, reads) + products * (1 + 3) / rates.train


def _count_positions(prompt_tokens: float, completion_lengths: Sequence[int]) -> float:
    return sum(length * prompt_tokens + length * (length + 1) / 2 for length in completion_lengths)


def _read_seconds(cost: DecodeCost, positions: float, completion_lengths: Sequence[int], sequences: int) -> float:
    """Compute how long the reads take: the weights as often as all sequences, or the longest, need a step."""
    steps = max(max(completion_lengths), sum(completion_lengths) / sequences)
    return (cost.bytes_per_position * positions + cost.weight_bytes * steps) / measure_bandwidth()
