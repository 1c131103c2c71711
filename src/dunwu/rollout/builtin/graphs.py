"""CUDA graphs of the decode step: hundreds of small kernels launched as one.

A graph is bound to shapes and addresses. Row counts and spans are rounded up to powers of two, so that few graphs serve
all steps; whoever moves the tensors that a step reads or writes calls ``clear``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dunwu.types import Sampling

SHORTEST_SPAN = 256
Step = Callable[[int, int, bool, Sampling], tuple[Tensor, Tensor]]
"""(rows, span, ragged, sampling) -> (tokens i64[rows], logprobs f32[rows])"""


class StepGraphs:
    """Captures ``step`` once for each shape and replays it."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._graphs: dict[
            tuple[int, int, float, float, tuple[int, ...]], tuple[torch.cuda.CUDAGraph, Tensor, Tensor]
        ] = {}
        self._pool: Any = None

    def clear(self) -> None:
        """Forget every graph: the addresses in them are no longer valid."""
        self._graphs.clear()
        self._pool = None

    def run(self, rows: int, span: int, sampling: Sampling, state: Tensor) -> tuple[Tensor, Tensor]:
        """Run the step over at least ``rows`` rows and ``span`` positions.

        What a step writes to the cache in the run that warms up before a capture is written again by the replay. All
        graphs share one memory pool, so the results must be read before the next run.

        Args:
            rows: how many.
            span: positions that are attended to.
            sampling: how tokens are drawn.
            state: what a step advances in place: the run that warms up leaves no trace in it.

        Returns:
            Tokens and log-probabilities of the first ``rows``.
        """
        key = (rows, span, sampling.temperature, sampling.top_p, sampling.banned)
        if key not in self._graphs:
            before = state.clone()
            self._step(rows, span, True, sampling)
            state.copy_(before)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                tokens, logprobs = self._step(rows, span, True, sampling)
            self._pool = graph.pool()
            self._graphs[key] = (graph, tokens, logprobs)
        graph, tokens, logprobs = self._graphs[key]
        graph.replay()
        return tokens, logprobs


def round_up(count: int, most: int, least: int = 1) -> int:
    """Round up to a power of two.

    Args:
        count: what is rounded.
        most: the largest result.
        least: the smallest.
    """
    return min(max(least, 1 << (count - 1).bit_length()), most)
