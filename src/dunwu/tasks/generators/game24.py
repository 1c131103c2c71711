"""The 24 game: make 24 of four numbers. Levels: 1 numbers to 10; 2 to 13; 3 to 13, and only division leads there.

Every problem has a way that never leaves the positive integers; its key is Countdown's, so that a problem that both
families can pose is on the same side in both.
"""

from __future__ import annotations

import random
from functools import lru_cache

from dunwu.tasks.generators.countdown import expression, moves, problem_key, reachable, solve
from dunwu.tasks.task import Draft, Family

TARGET = 24
LARGEST = {1: 10, 2: 13, 3: 13}


@lru_cache(maxsize=20_000)
def without_division(numbers: tuple[int, ...]) -> bool:
    """Whether + - * alone reach 24 from these numbers (sorted), over positive integers."""
    if len(numbers) == 1:
        return numbers == (TARGET,)
    return any(without_division(move.numbers) for move in moves(numbers) if move.op != "/")


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Four numbers from which 24 can be reached."""
    while True:
        numbers = tuple(rng.randint(1, LARGEST[level]) for _ in range(4))
        ordered = tuple(sorted(numbers))
        if TARGET in reachable(ordered) and (level < 3 or not without_division(ordered)):
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
        gold=expression(solve(numbers, TARGET)),
        kind="expression",
        key=problem_key(numbers, TARGET),
        tests=(str(TARGET), *map(str, numbers)),
    )


GAME24 = Family(name="game24", levels=(1, 2, 3), draft=draft)
