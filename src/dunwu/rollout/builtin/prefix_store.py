"""Keys and values of prompts that were read, for later ones that begin alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int32
from torch import Tensor

from dunwu.rollout.builtin.cache import KnownPrefix

SHORTEST = 8
"""Tokens in common that are worth the copying."""
MOST = 64
"""Prompts that are kept: each is looked at when another comes."""
Layers = Sequence[tuple[Float[Tensor, "K P D"], Float[Tensor, "K P D"]]]


class PrefixStore:
    """The prompts last read, within a bound of memory.

    Args:
        max_bytes: of keys and values; the prompts used longest ago are forgotten first.

    Attributes:
        reused: tokens that did not have to be read.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[bytes, tuple[Int32[np.ndarray, " P"], KnownPrefix, int]] = OrderedDict()
        self.reused = 0

    def find(self, prompt: Int32[np.ndarray, " P"]) -> KnownPrefix | None:
        """Find the longest beginning of a prompt that is known; its last token always has to be read."""
        best, longest = None, SHORTEST - 1
        start = prompt[:SHORTEST].tobytes()
        for key, (tokens, _, _) in self._kept.items():
            if not key.startswith(start):  # a glance, where the count costs as much as a token of a small model
                continue
            common = _count_common(tokens, prompt[:-1])
            if common > longest:
                best, longest = key, common
        if best is None:
            return None
        self._kept.move_to_end(best)
        self.reused += longest
        layers = [(keys[:, :longest], values[:, :longest]) for keys, values in self._kept[best][1].layers]
        return KnownPrefix(longest, layers)

    def keep(self, prompt: Int32[np.ndarray, " P"], layers: Layers) -> None:
        """Keep a prompt's keys and values, of which the first ``len(prompt)`` positions are its own."""
        key, length = prompt.tobytes(), len(prompt)
        if length < SHORTEST or key in self._kept:
            return
        size = sum(2 * keys.shape[0] * length * keys.shape[2] * keys.element_size() for keys, _ in layers)
        if size > self._max_bytes:
            return
        copies = [(keys[:, :length].clone(), values[:, :length].clone()) for keys, values in layers]
        self._kept[key] = (prompt, KnownPrefix(length, copies), size)
        self._bytes += size
        while self._bytes > self._max_bytes or len(self._kept) > MOST:
            self._bytes -= self._kept.popitem(last=False)[1][2]


def _count_common(one: Int32[np.ndarray, " P"], other: Int32[np.ndarray, " Q"]) -> int:
    """Count the tokens with which both begin."""
    length = min(len(one), len(other))
    differs = one[:length] != other[:length]
    return int(differs.argmax()) if differs.any() else length
