"""Sets of tokens as llguidance packs them: a bit for each token, the lowest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dunwu.rollout.builtin.scheduler import Mask

BITS: Final = 8


def mark_tokens(token_ids: Sequence[int], vocabulary: int) -> Mask:
    """Make the mask of some tokens of a vocabulary."""
    bits = np.zeros(vocabulary, dtype=np.uint8)
    bits[list(token_ids)] = 1
    return np.packbits(bits, bitorder="little")


def read_mask(packed: bytes) -> Mask:
    """Read what llguidance computes."""
    return np.frombuffer(packed, dtype=np.uint8)


def find_first(mask: Mask) -> int | None:
    """Find the first token of a mask."""
    place = int((mask != 0).argmax())
    byte = int(mask[place])
    return place * BITS + (byte & -byte).bit_length() - 1 if byte else None


def find_only(mask: Mask) -> int | None:
    """Find the token of a mask that has a single one; None for any other mask."""
    if np.count_nonzero(mask) != 1:
        return None
    place = int(mask.argmax())
    byte = int(mask[place])
    return None if byte & (byte - 1) else place * BITS + byte.bit_length() - 1


def has_token(mask: Mask, token_id: int) -> bool:
    """Tell whether a token is in a mask."""
    return bool(mask[token_id // BITS] >> (token_id % BITS) & 1)


def find_tokens(mask: Mask) -> list[int]:
    """List the tokens of a mask."""
    places = np.flatnonzero(mask)
    bits = np.unpackbits(mask[places], bitorder="little").reshape(-1, BITS)
    return [int(places[row]) * BITS + int(bit) for row, bit in zip(*np.nonzero(bits), strict=True)]


def has_more(mask: Mask, count: int) -> bool:
    """Tell whether a mask has more tokens than so many."""
    return int(np.count_nonzero(mask)) > count or int(np.bitwise_count(mask).sum(dtype=np.int64)) > count


def add_token(mask: Mask, token_id: int) -> Mask:
    """Return the mask with one more token."""
    added = mask.copy()
    added[token_id // BITS] |= 1 << (token_id % BITS)
    return added
