"""Muon in the weights' own precision, matrices of one shape orthogonalised together.

The update and the state are torch.optim.Muon's (Keller Jordan's Newton-Schulz iteration on the Nesterov momentum, steps
scaled by sqrt(rows/columns) where that is above 1). torch's works in bfloat16, one matrix at a time, as suits a GPU: on
busy CPU cores that cost about 250 ms a step for the 28 matrices of the nano base, against 17 ms for this one
(docs/log.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class StackedMuon(torch.optim.Optimizer):
    """Muon for hidden matrices; embeddings, norms and biases belong to another optimizer.

    Args:
        params: matrices, each with a gradient at every step.
        lr: length of a step in the spectral norm, before the scale for tall matrices.
    """

    def __init__(
        self, params: Iterable[torch.Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update of every matrix."""
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                same_shape[matrix.shape].append(matrix)
            for shape, matrices in same_shape.items():
                directions = orthogonalize(torch.stack([self._nesterov(m, group["momentum"]) for m in matrices]))
                step = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for matrix, direction in zip(matrices, directions, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(direction, alpha=-step)

    def _nesterov(self, matrix: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        gradient = matrix.grad
        assert gradient is not None
        average = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
        average.lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)


def orthogonalize(stack: torch.Tensor) -> torch.Tensor:
    """Make of each matrix of ``stack`` [N, rows, columns] about the nearest one whose singular values are all 1."""
    tall = stack.shape[1] > stack.shape[2]
    x = stack.mT if tall else stack
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
