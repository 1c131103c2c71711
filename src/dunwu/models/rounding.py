"""What bfloat16 leaves out of a weight, made up again: without it the weight would not follow small changes."""

from __future__ import annotations

from typing import Final

import torch
from jaxtyping import Float, Float32
from torch import Tensor

STEPS: Final = 49471, 37345
"""From row to row and from column to column, of 65,536: multiples of a plane's two golden numbers (M. Roberts 2018)."""


@torch.no_grad()
def unround(weight: Float[Tensor, "*M"]) -> Float32[Tensor, "*M"]:
    """Return single precision that rounds to a weight, anywhere in what does.

    Were it the weight itself, a change would show only where it goes half the way to the next number: with updates of
    5e-6, some thirty of them for most of SmolLM2's weights. From anywhere some weights cross to the next number at the
    smallest change, and all together move as far as it says. The places are spread evenly, and the same in every run.

    Args:
        weight: of any type; only bfloat16 leaves anything out.
    """
    if weight.dtype != torch.bfloat16:
        return weight.float()
    bits = weight.contiguous().view(torch.int16)
    width = bits.shape[-1] if bits.ndim else 1
    rows, columns = (
        (torch.arange(count, device=bits.device) * step).to(torch.int16)
        for count, step in zip((bits.numel() // max(width, 1), width), STEPS, strict=True)
    )
    # What follows the 16 bits that are known: from half a unit below to half a unit above, which could round away.
    rest = (rows[:, None] + columns).clamp_(min=1 - 2**15).view(bits.shape)
    found = ((bits.int() << 16) + rest).view(torch.float32)
    exponent = bits & 0x7F80
    return torch.where((exponent == 0) | (exponent == 0x7F80), weight.float(), found)
