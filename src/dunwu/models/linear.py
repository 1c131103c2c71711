"""Linear layers that learn, on a CPU with the kernels: their products, and the gradients of those.

N tokens, H hidden size, C columns, R ranks of all adapters at one input. Of a weight in bfloat16 the products take
factors of 16 bits; all else in here is in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """Linear layers that share an input: x weight^T + bias + (x low^T) high^T.

    Autograd sees the four tensors one by one, so a function takes and returns them flat. The weight may be in bfloat16.
    """

    weight: Float[Tensor, "C H"]
    bias: Float[Tensor, " C"] | None
    low: Float[Tensor, "R H"] | None
    """The matrices A of their adapters."""
    high: Float[Tensor, "C R"] | None
    """The matrices B, times alpha / rank, each in the columns of its own A."""

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
        """Return zeros for the gradients of the four, of those that are needed."""
        tensors = (self.weight, self.bias, self.low, self.high)
        return [
            torch.zeros_like(tensor, dtype=torch.float32) if tensor is not None and wanted else None
            for tensor, wanted in zip(tensors, needed, strict=True)
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


def join_linears(*linears: Any) -> tuple[Tensor | None, ...]:
    """Put layers that share an input below each other: one product instead of several."""
    weight = _stack([linear.weight for linear in linears])
    bias = _stack([linear.bias for linear in linears]).float() if linears[0].bias is not None else None
    if not is_adapted(linears[0]):
        return weight, bias, None, None
    low = _stack([linear.lora_A[NAME].weight for linear in linears]).float()
    parts = [linear.lora_B[NAME].weight.float() * linear.scaling[NAME] for linear in linears]
    high: Tensor = torch.block_diag(*parts)  # type: ignore[no-untyped-call]
    return weight, bias, low, high


def _stack(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
