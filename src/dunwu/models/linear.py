"""Linear layers that learn, on a CPU with the kernels: their products, and the gradients of those.

N tokens, H hidden size, C columns, R ranks of all adapters at one input. Of a weight in bfloat16 the products take
factors of 16 bits; sums, adapters and gradients are in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dunwu.kernels.products import PackedMatrix

NAME = "default"
"""Of the adapter among several that peft could hold."""


@dataclass(frozen=True)
class TrainedLinear:
    """Linear layers that share an input, put below each other: x weight^T + bias + (x low^T) high^T.

    One product does for several. The weight may be in bfloat16.
    """

    weight: Float[Tensor, "C H"]
    bias: Float[Tensor, " C"] | None
    low: Float[Tensor, "R H"] | None
    """The matrices A of their adapters."""
    high: Float[Tensor, "C R"] | None
    """The matrices B, times alpha / rank, each in the columns of its own A."""

    @classmethod
    def join(cls, parts: Parts, scaling: float) -> TrainedLinear:
        """Join layers.

        Args:
            parts: see ``list_parts``.
            scaling: of their adapters.
        """
        weights, biases, lows, highs = _quarter(parts)
        high: Tensor | None = None
        if highs[0] is not None:
            high = torch.block_diag(*(part.float() * scaling for part in highs))  # type: ignore[no-untyped-call]
        return cls(_stack(weights), _stack(biases, torch.float32), _stack(lows, torch.float32), high)

    @cached_property
    def _packed(self) -> PackedMatrix:
        return PackedMatrix.pack(self.weight)

    @cached_property
    def _turned(self) -> PackedMatrix:
        return PackedMatrix.pack(self.weight.T)

    def apply(self, x_NH: Tensor, out_NC: Tensor | None = None) -> Float[Tensor, "N C"]:
        """Compute what the layers give, in a place for it or a new tensor."""
        return self._adapt(self._packed.multiply(x_NH, self.bias, out_NC), x_NH)

    def add_to(self, residual_NC: Tensor, x_NH: Tensor) -> None:
        """Add what the layers give to the residual stream, in place."""
        self._packed.add_to(residual_NC, x_NH, self.bias)
        self._adapt(residual_NC, x_NH)

    def _adapt(self, out_NC: Tensor, x_NH: Tensor) -> Tensor:
        if self.low is None or self.high is None:
            return out_NC
        return out_NC.addmm_(x_NH @ self.low.T, self.high.T)

    def differentiate_input(self, grad_NC: Tensor) -> Float[Tensor, "N H"]:
        """Compute the gradient of what came in from that of what went out."""
        grad_NH = self._turned.multiply(grad_NC)
        if self.low is None or self.high is None:
            return grad_NH
        return grad_NH.addmm_(grad_NC @ self.high, self.low)

    def begin_gradients(self, needed: Sequence[bool]) -> list[Tensor | None]:
        """Return zeros for the gradients of the four.

        Args:
            needed: of each part whether its gradient is; the joined gradient is made where one needs it.
        """
        tensors = (self.weight, self.bias, self.low, self.high)
        return [
            torch.zeros_like(tensor, dtype=torch.float32) if tensor is not None and any(wanted) else None
            for tensor, wanted in zip(tensors, _quarter(needed), strict=True)
        ]

    def add_gradients(self, totals: Sequence[Tensor | None], grad_NC: Tensor, x_NH: Tensor) -> None:
        """Add the gradients of the four, in place."""
        weight, bias, low, high = totals
        if weight is not None and self.weight.dtype == torch.float32:
            weight.addmm_(grad_NC.T, x_NH)
        elif weight is not None:
            PackedMatrix.pack(x_NH.T, self.weight.dtype).add_to(weight, grad_NC.T, None)
        if bias is not None:
            bias.add_(grad_NC.sum(0))
        if low is not None and self.high is not None:
            low.addmm_((grad_NC @ self.high).T, x_NH)
        if high is not None and self.low is not None:
            high.addmm_(grad_NC.T, x_NH @ self.low.T)


def is_adapted(layer: Any) -> bool:
    """Return whether a linear layer has an adapter beside it, which ``adapters.add_adapter`` made."""
    return hasattr(layer, "lora_A")


Parts = tuple[Tensor | None, ...]


def list_parts(*linears: Any) -> Parts:
    """List what autograd sees of layers that share an input: their weights, biases, and adapters' A and B, by turns.

    A function of autograd takes them one by one and joins them inside. So a joined matrix is kept for no backward, and
    a gradient reaches weights in bfloat16 as it was made.
    """
    adapters = [(None, None)] * len(linears)
    if is_adapted(linears[0]):
        adapters = [(linear.lora_A[NAME].weight, linear.lora_B[NAME].weight) for linear in linears]
    lows, highs = zip(*adapters, strict=True)
    return (*(linear.weight for linear in linears), *(linear.bias for linear in linears), *lows, *highs)


def find_scaling(linear: Any) -> float:
    """Return by what the product of a layer's adapter is multiplied; 1 where there is none."""
    return float(linear.scaling[NAME]) if is_adapted(linear) else 1.0


def split_gradients(totals: Sequence[Tensor | None], parts: Parts, scaling: float) -> list[Tensor | None]:
    """Split gradients of joined layers into those of their parts, in the order of ``list_parts``."""
    weights, biases, lows, highs = _quarter(parts)
    *joined, high = totals
    found = [part for total, group in zip(joined, (weights, biases, lows), strict=True) for part in _cut(total, group)]
    if high is None:
        return [*found, *(None for _ in highs)]
    row = column = 0
    for part in highs:  # blocks of the diagonal
        found.append(high[row : row + part.shape[0], column : column + part.shape[1]] * scaling)
        row, column = row + part.shape[0], column + part.shape[1]
    return found


def _cut(total: Tensor | None, group: Sequence[Any]) -> Sequence[Tensor | None]:
    return [None] * len(group) if total is None else torch.split(total, [len(part) for part in group])


def _quarter(parts: Sequence[Any]) -> Iterator[Sequence[Any]]:
    count = len(parts) // 4
    return (parts[place * count : (place + 1) * count] for place in range(4))


def _stack(group: Sequence[Any], dtype: torch.dtype | None = None) -> Any:
    if group[0] is None:
        return None
    whole = group[0] if len(group) == 1 else torch.cat(list(group))
    return whole if dtype is None else whole.to(dtype)
