"""Comparing and sorting. Levels: 1 four integers; 2 six integers, also negative; 3 five decimals; 4 five fractions.

Decimals share few integer parts, so that 9.11 stands beside 9.9.
"""

from __future__ import annotations

import random
from fractions import Fraction

from dunwu.tasks.task import Draft, Generator

COUNT = {1: 4, 2: 6, 3: 5, 4: 5}
WORDINGS = {
    ("ascending", "en"): "Sort from smallest to largest: {}.",
    ("descending", "en"): "Sort from largest to smallest: {}.",
    ("largest", "en"): "Which of these numbers is the largest: {}?",
    ("second", "en"): "Which of these numbers is the second smallest: {}?",
    ("ascending", "zh"): "从小到大排列：{}。",
    ("descending", "zh"): "从大到小排列：{}。",
    ("largest", "zh"): "下列各数中哪个最大：{}？",
    ("second", "zh"): "下列各数中哪个第二小：{}？",
}
FORMS = ("ascending", "descending", "largest", "second")


def draw_number(rng: random.Random, level: int) -> str:
    """Draw a number as it is shown; decimals do not end in 0, fractions are in lowest terms."""
    if level <= 2:
        return str(rng.randint(1, 99) if level == 1 else rng.randint(-200, 200))
    if level == 3:
        places = rng.choices("0123456789", k=rng.randint(0, 2))
        return f"{rng.randint(8, 9)}.{''.join(places)}{rng.randint(1, 9)}"
    below = rng.randint(3, 15)
    return str(Fraction(rng.randint(1, below - 1), below))


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft different numbers to sort, or one of them to pick."""
    chosen: dict[Fraction, str] = {}
    while len(chosen) < COUNT[level]:
        text = draw_number(rng, level)
        chosen[Fraction(text)] = text
    shown = list(chosen.values())
    rng.shuffle(shown)
    form = rng.choice(FORMS)
    ordered = sorted(shown, key=Fraction)
    joint = "、" if language == "zh" else ", "
    golds = {
        "ascending": ", ".join(ordered),
        "descending": ", ".join(reversed(ordered)),
        "largest": ordered[-1],
        "second": ordered[1],
    }
    return Draft(
        question=WORDINGS[form, language].format(joint.join(shown)),
        gold=golds[form],
        kind="number" if form in ("largest", "second") else "sequence",
        key=f"{form}:{', '.join(ordered)}",
    )


ORDERING = Generator(draft, levels=(1, 2, 3, 4))
