"""How fast a rollout could be on this machine, were it nothing but matrix products and reads of keys and values."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dunwu.bench.machine import measure_gemm_flops

FLOAT_BYTES = 4
READ_BYTES = 1 << 28
TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeCost:
    """What one decoded token costs.

    Attributes:
        matrix_flops: Operations of its matrix products.
        flops_per_position: Operations of attention for each cached position.
        bytes_per_position: Bytes that are read for each cached position.
    """

    matrix_flops: float
    flops_per_position: float
    bytes_per_position: float


def compute_decode_cost(model: Any) -> DecodeCost:
    """Compute the cost of a decoder of the Llama family in single precision.

    Two operations a weight (the embedding is a look-up where it is not the output matrix too), and the two products of
    attention.
    """
    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() == 2)
    if not config.tie_word_embeddings:
        weights -= config.vocab_size * config.hidden_size
    return DecodeCost(
        matrix_flops=2.0 * weights,
        flops_per_position=4.0 * config.num_attention_heads * width * config.num_hidden_layers,
        bytes_per_position=2.0 * config.num_key_value_heads * width * config.num_hidden_layers * FLOAT_BYTES,
    )


def compute_floor(cost: DecodeCost, prompt_tokens: float, completion_lengths: Sequence[int]) -> float:
    """Compute how many tokens a second this machine could decode.

    It does arithmetic at the best matrix product's speed, or reads memory at a plain read's, whichever takes longer.
    A group's prompt is counted as read by every completion, because each attends to it.

    Args:
        cost: What a token costs.
        prompt_tokens: Mean length of the prompts.
        completion_lengths: Tokens of each completion.
    """
    tokens = sum(completion_lengths)
    positions = sum(length * prompt_tokens + length * (length + 1) / 2 for length in completion_lengths)
    arithmetic = (cost.matrix_flops * tokens + cost.flops_per_position * positions) / measure_gemm_flops()
    memory = cost.bytes_per_position * positions / measure_bandwidth()
    return tokens / max(arithmetic, memory)


def measure_bandwidth() -> float:
    """Return the bytes a second of the best of some plain reads (a sum) of memory larger than the caches."""
    block = torch.ones(READ_BYTES // FLOAT_BYTES)
    best = float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        block.sum()
        best = min(best, time.perf_counter() - start)
    return READ_BYTES / best
