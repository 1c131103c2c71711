"""What the machine itself can do: the floor under every measurement."""

from __future__ import annotations

import time

import torch

ROWS, WIDTH, TRIES = 4096, 512, 30


def measure_gemm_flops() -> float:
    """Return the operations a second of the best of some matrix products of a training step's size.

    They are in single precision, on the CPU, with the threads of this process.
    """
    left, right = torch.randn(ROWS, WIDTH), torch.randn(WIDTH, WIDTH)
    out = torch.empty(ROWS, WIDTH)
    best = float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, time.perf_counter() - start)
    return 2.0 * ROWS * WIDTH * WIDTH / best
