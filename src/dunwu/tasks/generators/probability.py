"""Probability by counting equally likely cases. Levels: 1 one ball from a bag; 2 two dice; 3 several balls at once."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb

from dunwu.tasks.task import Draft, Generator

COLORS = {"en": ("red", "blue", "green"), "zh": ("红", "蓝", "绿")}
WORDINGS = {
    (1, "en"): "A bag holds {a} red, {b} blue and {c} green balls. One is drawn at random. With what probability is it "
    "{color}? Answer with a fraction.",
    (2, "en"): "A die with faces 1 to {a} and a die with faces 1 to {b} are rolled. With what probability is their sum "
    "{relation} {c}? Answer with a fraction.",
    (
        3,
        "en",
    ): "A bag holds {a} red and {b} blue balls. {c} are drawn at random, none put back. With what probability are "
    "exactly {d} of them red? Answer with a fraction.",
    (1, "zh"): "袋中有{a}个红球、{b}个蓝球和{c}个绿球，随机取出一个。取到{color}球的概率是多少？用分数回答。",
    (2, "zh"): "掷一个面为1到{a}的骰子和一个面为1到{b}的骰子，点数之和{relation}{c}的概率是多少？用分数回答。",
    (3, "zh"): "袋中有{a}个红球和{b}个蓝球，随机取出{c}个，不放回。恰好有{d}个红球的概率是多少？用分数回答。",
}
RELATIONS = {"en": ("exactly", "at least"), "zh": ("恰好是", "至少是")}


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft an event and its probability, which is neither 0 nor 1."""
    d = choice = 0
    if level == 1:
        a, b, c = (rng.randint(1, 15) for _ in range(3))
        choice = rng.randrange(3)
        probability = Fraction((a, b, c)[choice], a + b + c)
        key = f"bag {a} {b} {c} {choice}"
    elif level == 2:
        a, b = sorted((rng.randint(4, 20), rng.randint(4, 20)))
        c, choice = rng.randint(3, a + b), rng.randrange(2)
        sums = [first + second for first in range(1, a + 1) for second in range(1, b + 1)]
        probability = Fraction(sum(s >= c if choice else s == c for s in sums), len(sums))
        key = f"dice {a} {b} {choice} {c}"
    else:
        a, b, c = rng.randint(3, 15), rng.randint(3, 15), rng.randint(2, 4)
        d = rng.randint(max(0, c - b), min(a, c))
        probability = Fraction(comb(a, d) * comb(b, c - d), comb(a + b, c))
        key = f"urn {a} {b} {c} {d}"
    question = WORDINGS[level, language].format(
        a=a, b=b, c=c, d=d, color=COLORS[language][choice], relation=RELATIONS[language][choice % 2]
    )
    return Draft(question=question, gold=str(probability), kind="number", key=key)


PROBABILITY = Generator(draft, levels=(1, 2, 3))
