"""Penalties as parts of a reward, each in [-1, 0]: cut off, repetitive. Both are off in R1's own reward.

DAPO's punishment of overlong answers needs the length limit of the rollout, and stands in ``algorithms.filters``.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from dunwu.types import Finish
from dunwu.verifiers.words import RANGES

GRAM = 40
"""Units in a row; "Demystifying Long Chain-of-Thought" (arXiv 2502.03373) takes as many tokens."""
UNIT = re.compile(rf"[{RANGES['han']}{RANGES['kana']}]|[^\W{RANGES['han']}{RANGES['kana']}]{{1,20}}|[^\w\s]")
"""A word, a number, one sign, or one character of Chinese or Japanese, which have no spaces. What is longer than any
word is several, so that a loop without spaces is one too."""
APART = 6
"""Units from one number to the next from which on both stand alone."""
WEIGHTS = np.cumprod(np.full(GRAM, 0x9E3779B97F4A7C15, dtype=np.uint64))
"""Powers of an odd number without structure: what a run's units are weighed with for its hash modulo 2^64."""


def penalize_truncation(finish: Finish) -> float:
    """Return -1 where the completion was cut off at its length limit, else 0."""
    return -1.0 if finish == "length" else 0.0


def penalize_repetition(text: str) -> float:
    """Return minus the share of the runs of ``GRAM`` units that stood in the text before (1 - distinct / all).

    Ordinary reasoning has next to none of so long a run twice, whatever its topic: what it repeats are phrases. A loop
    has few distinct runs however often it turns, so a text that does nothing else comes near -1, and one that is
    written twice near -1/2. A text of at most ``GRAM`` units has nothing to repeat.

    A number that stands alone among words is as good as any other, so that a loop that counts its turns is one.
    Arithmetic and lists of numbers keep theirs. What remains: a loop that writes something else at each turn.
    """
    names: dict[str, int] = {}
    units = np.array([names.setdefault(unit, len(names) + 1) for unit in UNIT.findall(text)], dtype=np.uint64)
    if len(units) <= GRAM:
        return 0.0
    units[_find_lone([unit.isdecimal() for unit in names], units)] = 0
    hashes = np.lib.stride_tricks.sliding_window_view(units, GRAM) @ WEIGHTS
    return float(len(np.unique(hashes)) / len(hashes) - 1)


def _find_lone(numeric: list[bool], units: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Find the places of the numbers without another one nearby.

    Args:
        numeric: Whether each name, from 1 on, is a number.
        units: The text as names.
    """
    places = np.flatnonzero(np.array([False, *numeric])[units])
    far = np.diff(places, prepend=-APART, append=len(units) + APART) >= APART
    return places[far[:-1] & far[1:]]
