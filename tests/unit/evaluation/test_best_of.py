"""The best of n is counted exactly: as all subsets one by one give it, equals and all."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from dunwu.evaluation.best_of import average_best


def try_all(scores: list[float], correct: list[bool], n: int) -> float:
    """Average over all subsets; of equals each is as likely the first."""
    shares = []
    for chosen in combinations(range(len(scores)), n):
        best = max(scores[place] for place in chosen)
        equal = [correct[place] for place in chosen if scores[place] == best]
        shares.append(sum(equal) / len(equal))
    return sum(shares) / len(shares)


@pytest.mark.parametrize("seed", range(20))
def test_all_subsets_give_the_same(seed: int) -> None:
    rng = random.Random(seed)
    k = rng.randint(1, 8)
    scores = [float(rng.randint(0, 3)) for _ in range(k)]
    correct = [rng.random() < 0.4 for _ in range(k)]
    for n in range(1, k + 1):
        assert average_best(scores, correct, n) == pytest.approx(try_all(scores, correct, n))


def test_a_perfect_guide_finds_what_is_there_and_a_blind_one_nothing() -> None:
    correct = [True] + [False] * 7
    assert average_best([float(good) for good in correct], correct, 4) == 0.5, "half of the subsets hold it"
    assert average_best([0.0] * 8, correct, 4) == pytest.approx(1 / 8)


@pytest.mark.parametrize("n", range(1, 65))
def test_a_share_is_never_more_than_one(n: int) -> None:
    assert average_best([float(place % 7) for place in range(64)], [True] * 64, n) == 1.0


@pytest.mark.parametrize("n", [0, 3])
def test_more_than_there_are_cannot_be_compared(n: int) -> None:
    with pytest.raises(ValueError, match=rf"best of {n} needs 1 <= n <= 2 samples"):
        average_best([1.0, 2.0], [True, False], n)
