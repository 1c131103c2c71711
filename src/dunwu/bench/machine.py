"""What the machine itself can do: the floor under every measurement."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from dunwu.kernels.library import load_kernels
from dunwu.kernels.products import PackedMatrix

ROWS, WIDTH, TRIES = 4096, 512, 30
TRAINED_ROWS, SHAPE_TRIES = 1024, 5
"""Tokens of a microbatch, and tries, where products of a model's own shapes are measured."""
READ_BYTES, READ_TRIES = 1 << 28, 10
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRates:
    """Operations a second of matrix products on the CPU, with this process's threads.

    Attributes:
        decode: Of as many rows as sequences that decode at once.
        train: Of as many rows as a microbatch has tokens.
    """

    decode: float
    train: float


def measure_gemm_flops(dtype: torch.dtype = torch.float32) -> float:
    """Return the operations a second of the best of some matrix products of a training step's size.

    They are on the CPU, with the threads of this process.

    Args:
        dtype: Of both factors.
    """
    left, right = torch.randn(ROWS, WIDTH).to(dtype), torch.randn(WIDTH, WIDTH).to(dtype)
    out = torch.empty(ROWS, WIDTH, dtype=dtype)
    return 2.0 * ROWS * WIDTH * WIDTH / _time_best(lambda: torch.mm(left, right, out=out), TRIES)


def measure_plain_rates(dtype: torch.dtype) -> ProductRates:
    """Measure one shape for everything, in a type or in single precision, whichever is faster."""
    rate = max(map(measure_gemm_flops, {dtype, torch.float32}))
    return ProductRates(decode=rate, train=rate)


def measure_model_rates(model: Any, sequences: int) -> ProductRates:
    """Measure products of the shapes and the type that a model has, each counted as often as it occurs.

    Args:
        model: A decoder.
        sequences: How many decode at once.
    """
    shapes = list_products(model)
    rates = [_measure_products(shapes, rows, model.dtype) for rows in (sequences, TRAINED_ROWS)]
    return ProductRates(decode=rates[0], train=rates[1])


def list_products(model: Any) -> Counter[tuple[int, int]]:
    """Count the matrices by which a token is multiplied, by shape; an embedding is one where it is the output too."""
    looked_up = None if model.config.tie_word_embeddings else model.get_input_embeddings().weight
    matrices = (weight for weight in model.parameters() if weight.ndim == 2 and weight is not looked_up)
    return Counter(tuple(weight.shape) for weight in matrices)


def _measure_products(shapes: Counter[tuple[int, int]], rows: int, dtype: torch.dtype) -> float:
    seconds = sum(count * _time_product(shape, rows, dtype) for shape, count in shapes.items())
    weights = sum(count * shape[0] * shape[1] for shape, count in shapes.items())
    return 2.0 * rows * weights / seconds


def _time_product(shape: tuple[int, int], rows: int, dtype: torch.dtype) -> float:
    """Return the seconds of a product, the least of torch and packed matrices, in a type and in single precision."""
    states, matrix = torch.randn(rows, shape[1]), torch.randn(*shape)
    seconds = []
    for kind in {dtype, torch.float32}:
        left, right, out = states.to(kind), matrix.to(kind), torch.empty(rows, shape[0], dtype=kind)
        seconds.append(_time_best(partial(torch.mm, left, right.T, out=out), SHAPE_TRIES))
        if load_kernels() is not None:
            seconds.append(_time_best(partial(PackedMatrix.pack(matrix, kind).multiply, states), SHAPE_TRIES))
    return min(seconds)


def measure_bandwidth() -> float:
    """Return the bytes a second of the best of some plain reads (a sum) of memory larger than the caches."""
    block = torch.ones(READ_BYTES // FLOAT_BYTES)
    return READ_BYTES / _time_best(block.sum, READ_TRIES)


def _time_best(work: Callable[[], object], tries: int) -> float:
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best
