"""Numbers in other bases. Levels: 1 binary and decimal; 2 bases 3 to 9 and decimal; 3, 4 any two of 2 to 16."""

from __future__ import annotations

import random

from dunwu.tasks.task import Draft, Generator

DIGITS = "0123456789ABCDEF"
LARGEST = {1: 1023, 2: 1000, 3: 1000, 4: 10_000}


def write_in_base(value: int, base: int) -> str:
    """Write a positive integer in a base from 2 to 16."""
    text = ""
    while value:
        value, digit = divmod(value, base)
        text = DIGITS[digit] + text
    return text


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a number in one base, to be written in another."""
    if level <= 2:
        bases = [10, 2 if level == 1 else rng.randint(3, 9)]
        rng.shuffle(bases)
    else:
        bases = rng.sample(range(2, 17), 2)
    source, goal = bases
    value = rng.randint(5, LARGEST[level])
    shown = write_in_base(value, source)
    if language == "zh":
        question = f"把{source}进制数{shown}写成{goal}进制，只写数字。"
    else:
        question = f"Write the base-{source} number {shown} in base {goal}. Give its digits only."
    return Draft(question=question, gold=write_in_base(value, goal), kind="text", key=f"{shown}_{source}->{goal}")


BASES = Generator(draft, levels=(1, 2, 3, 4))
