"""Linear equations. Levels: 1 ax+b=c; 2 ax+b=cx+d; 3 the same with a fraction as solution; 4, 5 two unknowns."""

from __future__ import annotations

import random
from fractions import Fraction

from dunwu.tasks.task import Draft, Generator

COEFFICIENT, SOLUTION = {1: 9, 2: 9, 3: 9, 4: 5, 5: 12}, {1: 12, 2: 20, 4: 9, 5: 20}


def draw_nonzero(rng: random.Random, limit: int) -> int:
    """Draw uniformly from -limit to limit, without 0."""
    return rng.choice((-1, 1)) * rng.randint(1, limit)


def format_linear(*terms: tuple[int, str]) -> str:
    """Write ``3x - y + 2`` for (3, x), (-1, y), (2, nothing); zero terms are left out."""
    text = ""
    for factor, name in terms:
        if factor:
            size = name if name and abs(factor) == 1 else f"{abs(factor)}{name}"
            joint = (" - " if factor < 0 else " + ") if text else ("-" if factor < 0 else "")
            text += joint + size
    return text or "0"


def draw_one_unknown(rng: random.Random, level: int) -> tuple[str, str]:
    """Draw an equation in x; return it with x."""
    limit = COEFFICIENT[level]
    while True:
        a, c = draw_nonzero(rng, limit), draw_nonzero(rng, limit) if level > 1 else 0
        if a == c or (a, c) == (1, 0):
            continue
        b = draw_nonzero(rng, 30)
        if level == 3:
            d = draw_nonzero(rng, 30)
            x = Fraction(d - b, a - c)
            if x.denominator == 1:
                continue
        else:
            x = Fraction(rng.randint(-SOLUTION[level], SOLUTION[level]))
            d = int((a - c) * x) + b
        return f"{format_linear((a, 'x'), (b, ''))} = {format_linear((c, 'x'), (d, ''))}", str(x)


def draw_two_unknowns(rng: random.Random, level: int) -> tuple[list[str], str]:
    """Draw two equations in x and y; return them with the pair."""
    x, y = (rng.randint(-SOLUTION[level], SOLUTION[level]) for _ in "xy")
    while True:
        (a, b), (c, d) = ((draw_nonzero(rng, COEFFICIENT[level]) for _ in "xy") for _ in range(2))
        if a * d != b * c:
            equations = [f"{format_linear((p, 'x'), (q, 'y'))} = {p * x + q * y}" for p, q in ((a, b), (c, d))]
            return equations, f"({x}, {y})"


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft one equation or two; the gold is a number, or the pair (x, y)."""
    if level <= 3:
        equation, gold = draw_one_unknown(rng, level)
        question = f"解方程：{equation}。求x。" if language == "zh" else f"Solve for x: {equation}."
        return Draft(question=question, gold=gold, kind="number", key=" = ".join(sorted(equation.split(" = "))))
    equations, gold = draw_two_unknowns(rng, level)
    if language == "zh":
        question = f"解方程组：{equations[0]}，{equations[1]}。按(x, y)的形式回答。"
    else:
        question = f"Solve {equations[0]} and {equations[1]}. Answer with the pair (x, y)."
    return Draft(question=question, gold=gold, kind="sequence", key="; ".join(sorted(equations)))


EQUATIONS = Generator(draft, levels=(1, 2, 3, 4, 5))
