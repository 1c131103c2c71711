"""Penalties as parts of a reward, each in [-1, 0]: cut off, repetitive. Both are off in R1's own reward.

DAPO's punishment of overlong answers needs the length limit of the rollout, and stands in ``algorithms.filters``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import count

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from dunwu.types import Finish
from dunwu.verifiers.words import RANGES

GRAM = 40
"""Units in a row; "Demystifying Long Chain-of-Thought" (arXiv 2502.03373) takes as many tokens."""
UNIT = re.compile(rf"[{RANGES['han']}{RANGES['kana']}]|[^\W{RANGES['han']}{RANGES['kana']}]{{1,20}}|[^\w\s]")
"""A word, a number, one sign, or one character of Chinese or Japanese, which have no spaces. What is longer than any
word is several, so that a loop without spaces is one too."""
APART = 6
"""Units from one number to the next from which on both stand alone."""
WEIGHT = 0x9E3779B97F4A7C15
"""An odd number without structure: a run's units are weighed with its powers for their hash modulo 2^64."""


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
    return float(penalize_repetitions([text])[0])


def penalize_repetitions(texts: Sequence[str]) -> Float64[np.ndarray, " N"]:
    """Return what :func:`penalize_repetition` does for each of N texts, in less time than one by one."""
    penalties_N = np.zeros(len(texts))
    units, names = _number_units(texts)
    if not units:
        return penalties_N
    starts = np.cumsum([0, *(len(found) + APART for found in units.values())])
    joined_U = np.zeros(starts[-1], dtype=np.uint64)  # between two texts nothing, so that neither sees the other
    for start, found in zip(starts, units.values(), strict=False):
        joined_U[start : start + len(found)] = found
    joined_U[_find_lone([name.isdecimal() for name in names], joined_U)] = 0
    hashes_W = _hash_runs(joined_U)
    for start, (place, found) in zip(starts, units.items(), strict=False):
        runs = np.sort(hashes_W[start : start + len(found) - GRAM + 1])
        penalties_N[place] = (1 + np.count_nonzero(runs[1:] != runs[:-1])) / len(runs) - 1
    return penalties_N


def _number_units(texts: Sequence[str]) -> tuple[dict[int, list[int]], Collection[str]]:
    """Give every unit of texts a number, from 1 on.

    Returns:
        The numbers of each text that has more than ``GRAM`` of them, by its place; and all units, in their order.
    """
    numbers = defaultdict[str, int](count(1).__next__)
    found = {}
    for place, text in enumerate(texts):
        if len(text) > GRAM and len(units := UNIT.findall(text)) > GRAM:
            found[place] = [numbers[unit] for unit in units]
    return found, numbers


def _hash_runs(units_U: UInt64[np.ndarray, " U"]) -> UInt64[np.ndarray, " W"]:
    """Hash each run of ``GRAM`` units, as the difference of two sums of weighted units from the beginning on."""
    powers_U = np.cumprod(np.full(len(units_U), WEIGHT, dtype=np.uint64))
    sums_U = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(units_U * powers_U)])
    inverses_U = np.cumprod(np.full(len(units_U), pow(WEIGHT, -1, 2**64), dtype=np.uint64))
    hashes_W: UInt64[np.ndarray, " W"] = (sums_U[GRAM:] - sums_U[:-GRAM]) * inverses_U[: len(units_U) - GRAM + 1]
    return hashes_W


def _find_lone(numeric: list[bool], units_U: UInt64[np.ndarray, " U"]) -> Int64[np.ndarray, " L"]:
    """Find the places of the numbers without another one nearby.

    Args:
        numeric: Whether each name, from 1 on, is a number.
        units_U: The texts as names.
    """
    places = np.flatnonzero(np.array([False, *numeric])[units_U])
    far = np.diff(places, prepend=-APART, append=len(units_U) + APART) >= APART
    return places[far[:-1] & far[1:]]
