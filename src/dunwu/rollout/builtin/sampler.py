"""From logits to tokens and their log-probabilities."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor
from torch.nn import functional

from dunwu.kernels import operations as kernels
from dunwu.kernels.library import load_kernels
from dunwu.types import Sampling

BLOCK = 64


def draw_tokens(
    logits_BV: Float[Tensor, "B V"], uniforms_B: Float64[Tensor, " B"], sampling: Sampling
) -> tuple[Int64[Tensor, " B"], Float32[Tensor, " B"]]:
    """Draw one token a row.

    Args:
        logits_BV: of the next token.
        uniforms_B: one number in [0, 1) for each row.
        sampling: temperature, top-p and banned tokens. Temperature 0 takes the largest logit.

    Returns:
        The tokens, and their log-probabilities under softmax(logits / temperature), before top-p; at temperature 1
        where the temperature is 0. Banned tokens are out of both.
    """
    logits_BV = logits_BV.float()
    if sampling.banned:
        logits_BV = logits_BV.index_fill(1, _ids(sampling.banned, logits_BV.device), -torch.inf)
    if sampling.temperature > 0.0 and sampling.top_p == 1.0 and can_draw(logits_BV):
        return kernels.draw(logits_BV.contiguous(), uniforms_B.contiguous(), sampling.temperature)
    if sampling.temperature not in (0.0, 1.0):
        logits_BV = logits_BV / sampling.temperature
    probs_BV = torch.softmax(logits_BV, dim=-1)
    if sampling.temperature == 0.0:
        tokens_B = logits_BV.argmax(dim=-1)
    else:
        kept_BV = keep_nucleus(probs_BV, sampling.top_p) if sampling.top_p < 1.0 else probs_BV
        tokens_B = invert_cdf(kept_BV, uniforms_B)
    return tokens_B, probs_BV.gather(1, tokens_B[:, None]).squeeze(1).log_()


def can_draw(logits_BV: Float32[Tensor, "B V"]) -> bool:
    """Whether the kernels draw from these logits."""
    return logits_BV.device.type == "cpu" and load_kernels() is not None


@lru_cache(maxsize=8)
def _ids(tokens: tuple[int, ...], device: torch.device) -> Int64[Tensor, " N"]:
    """Make a tensor once, because nothing may come from the host while a step is captured as a CUDA graph."""
    return torch.tensor(tokens, device=device)


def keep_nucleus(probs_BV: Float32[Tensor, "B V"], top_p: float) -> Float32[Tensor, "B V"]:
    """Zero what lies outside the smallest set of most likely tokens whose mass reaches ``top_p``.

    Of equally likely tokens the lower id comes first. Source: nucleus sampling, Holtzman et al. 2020.
    """
    ordered_BV, ids_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
    mass_before_BV = ordered_BV.double().cumsum(dim=-1) - ordered_BV
    return torch.zeros_like(probs_BV).scatter_(1, ids_BV, ordered_BV * (mass_before_BV < top_p))


def invert_cdf(probs_BV: Float32[Tensor, "B V"], uniforms_B: Float64[Tensor, " B"]) -> Int64[Tensor, " B"]:
    """Find the token at which the running sum passes ``uniform x total``; never one of probability 0.

    Two levels, first over blocks of the vocabulary and then inside one: a running sum over all of it would cost more
    than the softmax.
    """
    vocabulary = probs_BV.shape[1]
    if vocabulary % BLOCK:
        probs_BV = functional.pad(probs_BV, (0, BLOCK - vocabulary % BLOCK))
    probs_BNK = probs_BV.view(len(probs_BV), -1, BLOCK)
    block_B, rest_B = _locate(probs_BNK.sum(dim=-1), uniforms_B, relative=True)
    inside_BK = probs_BNK[torch.arange(len(block_B), device=block_B.device), block_B]
    inner_B, _ = _locate(inside_BK, rest_B, relative=False)
    return block_B * BLOCK + inner_B


def _locate(
    weights_BN: Float32[Tensor, "B N"], targets_B: Float64[Tensor, " B"], *, relative: bool
) -> tuple[Int64[Tensor, " B"], Float64[Tensor, " B"]]:
    """Find the first index whose running sum exceeds the target, and what of the target is left before it."""
    sums_BN = weights_BN.cumsum(dim=-1, dtype=torch.float64)
    total_B = sums_BN[:, -1]
    below_total_B = torch.nextafter(total_B, torch.zeros_like(total_B))
    targets_B = torch.minimum(targets_B * total_B if relative else targets_B, below_total_B)
    index_B = torch.searchsorted(sums_BN, targets_B[:, None], right=True)
    before_B = sums_BN.gather(1, index_B) - weights_BN.gather(1, index_B)
    return index_B.squeeze(1), (targets_B - before_B.squeeze(1)).clamp_(min=0.0)
