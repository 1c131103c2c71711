"""What the machine itself can do: the floor under every measurement."""

from __future__ import annotations

import time

import torch

ROWS, WIDTH, TRIES = 4096, 512, 30


def gemm_flops() -> float:
    """Operations a second of the best of some single-precision matrix products of a training step's size.

    With the threads of this process, on the CPU.
    """
    left, right = torch.randn(ROWS, WIDTH), torch.randn(WIDTH, WIDTH)
    out = torch.empty(ROWS, WIDTH)
    best = float("inf")
    for _ in range(TRIES):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, time.perf_counter() - start)
    return 2.0 * ROWS * WIDTH * WIDTH / best
