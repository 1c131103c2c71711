"""What bfloat16 leaves out of a weight, made up again: without it the weight would not follow small changes."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float, Float32
from torch import Tensor

STEPS: Final = 53681, 43969, 36015
"""From tensor to tensor, row to row and column to column, of 65,536: space's three golden numbers (M. Roberts 2018)."""


@torch.no_grad()
def unround(weight: Float[Tensor, "*M"], number: int) -> Float32[Tensor, "*M"]:
    """Return single precision that rounds to a weight, anywhere in what does.

    Were it the weight itself, a change would show only where it goes half the way to the next number: with updates of
    5e-6, after some fifty of them for a weight of .1. From anywhere some weights cross to the next number at the
    smallest change, and all together move as far as it says. The places are spread evenly, and the same in every run.

    Args:
        weight: in bfloat16; in another type it is as it is, and in single precision it is the result itself.
        number: of the tensor among others: each has places of its own.
    """
    if weight.dtype != torch.bfloat16:
        return weight.float()
    bits = weight.contiguous().view(torch.int16)
    width = bits.shape[-1] if bits.ndim else 1
    rows = torch.arange(bits.numel() // max(width, 1), device=bits.device) * STEPS[1] + number * STEPS[0]
    columns = torch.arange(width, device=bits.device) * STEPS[2]
    # What follows the 16 bits that are known: from half a unit below to half a unit above, which could round away.
    rest = (rows.to(torch.int16)[:, None] + columns.to(torch.int16)).clamp_(min=1 - 2**15).view(bits.shape)
    exponent = bits & 0x7F80
    rest.masked_fill_((exponent == 0) | (exponent == 0x7F80), 0)
    return bits.int().bitwise_left_shift_(16).add_(rest).view(torch.float32)
