"""The best of n samples by somebody's scores, averaged exactly over all subsets of n."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from math import comb


def average_best(scores: Sequence[float], correct: Sequence[bool], n: int) -> float:
    """Average how often the best of n of a problem's k samples is correct over all C(k, n) subsets.

    Sorted from the best, a subset's best one lies among s samples of equal score behind b better ones in
    C(k - b, n) - C(k - b - s, n) subsets. Which of the s it is, is chance.

    Args:
        scores: What each of the k samples is worth; more is better.
        correct: Which samples are correct.
        n: How many are compared, 1 to k.

    Returns:
        The mean in [0, 1].

    Raises:
        ValueError: ``n`` is out of range.
    """
    k = len(scores)
    if not 1 <= n <= k:
        raise ValueError(f"best of {n} needs 1 <= n <= {k} samples")
    ordered = sorted(zip(scores, correct, strict=True), key=lambda sample: -sample[0])
    total, left = Fraction(0), k
    for _, equal in groupby(ordered, key=lambda sample: sample[0]):
        right = [good for _, good in equal]
        total += (comb(left, n) - comb(left - len(right), n)) * Fraction(sum(right), len(right))
        left -= len(right)
    return float(total / comb(k, n))
