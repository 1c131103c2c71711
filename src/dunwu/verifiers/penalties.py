"""Penalties as parts of a reward, each in [-1, 0]: cut off, repetitive. Both are off in R1's own reward.

DAPO's punishment of overlong answers needs the length limit of the rollout, and stands in ``algorithms.filters``.
"""

from __future__ import annotations

import re

import numpy as np

from dunwu.types import Finish
from dunwu.verifiers.language import RANGES

GRAM = 40
"""Units in a row; "Demystifying Long Chain-of-Thought" (arXiv 2502.03373) takes as many tokens."""
UNIT = re.compile(rf"[{RANGES['han']}{RANGES['kana']}]|[^\W{RANGES['han']}{RANGES['kana']}]+|[^\w\s]")
"""A word, a number, one sign, or one character of Chinese or Japanese, which have no spaces."""
WEIGHTS = np.cumprod(np.full(GRAM, 0x9E3779B97F4A7C15, dtype=np.uint64))
"""Powers of an odd number without structure: what a run's units are weighed with for its hash modulo 2^64."""


def truncated(finish: Finish) -> float:
    """-1 where the completion was cut off at its length limit, else 0."""
    return -1.0 if finish == "length" else 0.0


def repetition(text: str) -> float:
    """Minus the share of the runs of ``GRAM`` units that stood in the text before (1 - distinct / all), in [-1, 0].

    Ordinary reasoning has next to none of so long a run twice, whatever its topic: what it repeats are phrases. A loop
    has few distinct runs however often it turns, so a text that does nothing else comes near -1, and one that is
    written twice near -1/2. A text of at most ``GRAM`` units has nothing to repeat.
    """
    names: dict[str, int] = {}
    units = np.array([names.setdefault(unit, len(names) + 1) for unit in UNIT.findall(text)], dtype=np.uint64)
    if len(units) <= GRAM:
        return 0.0
    hashes = np.lib.stride_tricks.sliding_window_view(units, GRAM) @ WEIGHTS
    return float(len(np.unique(hashes)) / len(hashes) - 1)
