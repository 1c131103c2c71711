"""The 24 game: make 24 of four numbers. Levels: 1 numbers to 10; 2 to 13; 3 to 13, and only division leads there.

Every problem has a way that never leaves the positive integers; its key is Countdown's, so that a problem that both
generators can pose is on the same side in both.
"""

from __future__ import annotations

import random
from functools import lru_cache

from dunwu.tasks.generators.countdown import find_reachable, list_moves, make_key, solve, write_expression
from dunwu.tasks.task import Draft, Generator

TARGET = 24
LARGEST = {1: 10, 2: 13, 3: 13}


@lru_cache(maxsize=20_000)
def can_avoid_division(numbers: tuple[int, ...]) -> bool:
    """Return whether + - * alone reach 24 from these numbers (sorted), over positive integers."""
    if len(numbers) == 1:
        return numbers == (TARGET,)
    return any(can_avoid_division(move.numbers) for move in list_moves(numbers) if move.op != "/")


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft four numbers from which 24 can be reached."""
    while True:
        numbers = tuple(rng.randint(1, LARGEST[level]) for _ in range(4))
        ordered = tuple(sorted(numbers))
        if TARGET in find_reachable(ordered) and (level < 3 or not can_avoid_division(ordered)):
            break
    *first, last = map(str, numbers)
    if language == "zh":
        question = f"24点：用{'、'.join(first)}和{last}各一次，加减乘除，可用括号，得到24。写出算式。"
    else:
        listed = f"{', '.join(first)} and {last}"
        question = (
            f"24 game: use {listed} exactly once each, with + - * / and parentheses, to make 24. Give the expression."
        )
    return Draft(
        question=question,
        gold=write_expression(solve(numbers, TARGET)),
        kind="expression",
        key=make_key(numbers, TARGET),
        tests=(str(TARGET), *map(str, numbers)),
    )


GAME24 = Generator(draft, levels=(1, 2, 3))
