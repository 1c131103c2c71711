"""Sets of tokens: numbers with a bit for each token, and the same packed as batches take them, the lowest bit first.

A set is asked for one token or the other many times for each that is written. Python does that with its integers in a
tenth of the time that small arrays take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dunwu.rollout.builtin.scheduler import Mask

BITS: Final = 8
TokenSet = int
"""A bit for each token."""


def mark_tokens(token_ids: Sequence[int], vocabulary: int) -> Mask:
    """Pack some tokens of a vocabulary."""
    bits = np.zeros(vocabulary, dtype=np.uint8)
    bits[list(token_ids)] = 1
    return np.packbits(bits, bitorder="little")


def is_marked(mask: Mask, token_id: int) -> bool:
    """Tell whether a token is among those that are packed."""
    return bool(mask[token_id // BITS] >> (token_id % BITS) & 1)


def read_mask(packed: bytes) -> TokenSet:
    """Read what llguidance computes, or what is packed."""
    return int.from_bytes(packed, "little")


def write_mask(tokens: TokenSet, width: int) -> Mask:
    """Pack a set.

    Args:
        tokens: the set.
        width: bytes of the mask.

    Returns:
        The mask; it cannot be written to.
    """
    return np.frombuffer(tokens.to_bytes(width, "little"), dtype=np.uint8)


def find_first(tokens: TokenSet) -> int | None:
    """Find the first token of a set; None where it is empty."""
    return (tokens & -tokens).bit_length() - 1 if tokens else None


def find_only(tokens: TokenSet) -> int | None:
    """Find the token of a set that has a single one; None for any other set."""
    return tokens.bit_length() - 1 if tokens and not tokens & (tokens - 1) else None


def has_token(tokens: TokenSet, token_id: int) -> bool:
    """Tell whether a token is in a set."""
    return bool(tokens >> token_id & 1)


def list_tokens(tokens: TokenSet) -> list[int]:
    """List the tokens of a set that has few."""
    found = []
    while (first := find_first(tokens)) is not None:
        found.append(first)
        tokens ^= 1 << first
    return found


def drop_tokens(tokens: TokenSet, others: TokenSet) -> TokenSet:
    """Return a set without the tokens of another."""
    return tokens ^ (tokens & others)  # "& ~others" makes numbers below zero, which take longer
