"""Greatest common divisors and least common multiples. Levels: 1, 2 two numbers; 3, 4 three; larger as they go."""

from __future__ import annotations

import math
import random

from dunwu.tasks.task import Draft, Generator

COUNT, COMMON, COFACTOR = {1: 2, 2: 2, 3: 3, 4: 3}, {1: 12, 2: 30, 3: 12, 4: 30}, {1: 15, 2: 20, 3: 12, 4: 20}


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft different numbers with a divisor in common."""
    common = rng.randint(2, COMMON[level])
    numbers = [common * factor for factor in rng.sample(range(1, COFACTOR[level] + 1), COUNT[level])]
    wanted = rng.choice(("gcd", "lcm"))
    *first, last = map(str, numbers)
    if language == "zh":
        name = "最大公约数" if wanted == "gcd" else "最小公倍数"
        question = f"求{'、'.join(first)}和{last}的{name}。"
    else:
        name = "greatest common divisor" if wanted == "gcd" else "least common multiple"
        question = f"What is the {name} of {', '.join(first)} and {last}?"
    gold = math.gcd(*numbers) if wanted == "gcd" else math.lcm(*numbers)
    return Draft(question=question, gold=str(gold), kind="number", key=f"{wanted}:{sorted(numbers)}")


DIVISORS = Generator(draft, levels=(1, 2, 3, 4))
