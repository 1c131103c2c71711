"""Keys and values of prompts that were read, for later ones that begin alike."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
from jaxtyping import Int32

from dunwu.rollout.builtin.cache import KeysValues, KnownPrefix

SHORTEST = 8
"""Tokens in common that are worth the copying."""
MOST = 64
"""Prompts that are kept: each is looked at when another comes."""


class PrefixStore:
    """The prompts last read, within a bound of memory; batches of several threads may share one.

    Args:
        max_bytes: of keys and values; the prompts used longest ago are forgotten first.

    Attributes:
        reused: tokens that did not have to be read.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[bytes, tuple[Int32[np.ndarray, " P"], KnownPrefix, int]] = OrderedDict()
        self._lock = Lock()
        self.reused = 0

    def find(self, prompt: Int32[np.ndarray, " P"]) -> KnownPrefix | None:
        """Find the longest beginning of a prompt that is known; its last token always has to be read."""
        with self._lock:
            best, longest = self._find_longest(prompt)
            if best is None:
                return None
            self._kept.move_to_end(best)
            self.reused += longest
            found = self._kept[best][1].layers
        return KnownPrefix(found[:, :, :, :longest])

    def _find_longest(self, prompt: Int32[np.ndarray, " P"]) -> tuple[bytes | None, int]:
        best, longest = None, SHORTEST - 1
        start = prompt[:SHORTEST].tobytes()
        for key, (tokens, _, _) in self._kept.items():
            if not key.startswith(start):  # a glance, where the count costs as much as a token of a small model
                continue
            common = _count_common(tokens, prompt[:-1])
            if common > longest:
                best, longest = key, common
        return best, longest

    def keep(self, prompt: Int32[np.ndarray, " P"], prompts: Sequence[KeysValues], number: int) -> None:
        """Keep a prompt's keys and values.

        Args:
            prompt: its tokens.
            prompts: keys and values of N prompts, for every layer.
            number: which of them it is.
        """
        key, length = prompt.tobytes(), len(prompt)
        size = sum(part[0, :, :1].nbytes for layer in prompts for part in layer) * length
        if length < SHORTEST or size > self._max_bytes or key in self._kept:
            return
        kept = KnownPrefix.of_prompt(prompts, number, length)
        with self._lock:
            if key in self._kept:  # another thread read the same
                return
            self._kept[key] = (prompt, kept, size)
            self._bytes += size
            while self._bytes > self._max_bytes or len(self._kept) > MOST:
                self._bytes -= self._kept.popitem(last=False)[1][2]


def _count_common(one: Int32[np.ndarray, " P"], other: Int32[np.ndarray, " Q"]) -> int:
    """Count the tokens with which both begin."""
    length = min(len(one), len(other))
    differs = one[:length] != other[:length]
    return int(differs.argmax()) if differs.any() else length
