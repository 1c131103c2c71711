"""Numbers to add: what a small model of language can learn. The level is the number of additions.

The keys are those of ``arithmetic``, so that a sum which both generators can pose is on the same side in both.
"""

from __future__ import annotations

import random
from functools import reduce

from dunwu.tasks.generators.arithmetic import Term, pose
from dunwu.tasks.task import Draft, Generator

LARGEST = 99


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a sum of ``level`` + 1 numbers."""
    numbers = [Term(rng.randint(2, LARGEST)) for _ in range(level + 1)]
    return pose(reduce(lambda left, right: Term(left.value + right.value, "+", (left, right)), numbers), language)


ADDITION = Generator(draft, levels=(1, 2, 3, 4))
