"""Randomness without hidden state: every number is a function of (seed, index).

On the host numpy computes it: torch lets another thread go first at each of a dozen small operations.

A sample's seed is a hash of where it stands in the run; its i-th uniform is a hash of (seed, i). So nothing needs
saving to resume, and a sample does not depend on its neighbours in the batch.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64
Integers = TypeVar("Integers", Tensor, np.ndarray)
"""Of 64 bits, that wrap."""


def derive_seed(run_seed: int, *path: str | int) -> int:
    """Derive a 63-bit seed for the place ``path`` in the run: equal on every machine, different for different paths."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (run_seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def derive_stream_keys(seeds: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
    """Derive the key of each seed's stream: hashed, so that neighbouring seeds give unrelated streams."""
    if seeds.device.type == "cpu":
        return torch.from_numpy(_mix(seeds.numpy() + _GOLDEN))
    return _mix(seeds + _GOLDEN)


def draw_uniforms(keys: Int64[Tensor, "*B"], indices: Int64[Tensor, " B"]) -> Float64[Tensor, "*B"]:
    """Draw the ``indices``-th number in [0, 1) of each stream, with 53 bits.

    Source: splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
    """
    if keys.device.type == "cpu":
        return torch.from_numpy(_draw_bits(keys.numpy(), indices.numpy()) * 2.0**-53)
    return _draw_bits(keys, indices).double().mul_(2.0**-53)


def _draw_bits(keys: Integers, indices: Integers) -> Integers:
    """Draw the ``indices``-th 53 bits of each stream."""
    bits: Integers = (_mix(keys + (indices + 1) * _GOLDEN) >> 11) & (2**53 - 1)
    return bits


def _mix(z: Integers) -> Integers:
    """Apply splitmix64's finalizer; ``>>`` keeps the sign, which the masks take away."""
    z = (z ^ ((z >> 30) & (2**34 - 1))) * _FIRST
    z = (z ^ ((z >> 27) & (2**37 - 1))) * _SECOND
    z ^= (z >> 31) & (2**33 - 1)
    return z


def to_tensor(seeds: list[int], device: torch.device) -> Int64[Tensor, " B"]:
    """Make wrapping integers of seeds of up to 64 bits."""
    return torch.tensor([(s + 2**63) % 2**64 - 2**63 for s in seeds], dtype=torch.int64, device=device)
