"""What a Chinese problem asks, in a line of English, for readers of an English page.

Generated problems have few wordings, so what they ask is read off their numbers and names; nothing is translated. A
problem of any other wording has no gloss.
"""

from __future__ import annotations

import re

LONGEST = 500
"""Characters of a line that may be a question of ours."""
_NUMBERS = r"[\d、和.,/ -]+"
_WORDINGS = (
    (rf"用({_NUMBERS})各一次，加减乘除，得到(\d+)。", "Use {0} once each with + - * / to make {1}."),
    (
        rf"24点：用({_NUMBERS})各一次，.*",
        "24 game: use {0} exactly once each, with + - * / and parentheses, to make 24.",
    ),
    (r"计算：(.+)。", "Compute {0}."),
    (rf"求({_NUMBERS})的最大公约数。", "What is the greatest common divisor of {0}?"),
    (rf"求({_NUMBERS})的最小公倍数。", "What is the least common multiple of {0}?"),
    (r"把(\d+)进制数(\w+)写成(\d+)进制，.*", "Write the base-{0} number {1} in base {2}."),
    (rf"从小到大排列：({_NUMBERS})。", "Sort from smallest to largest: {0}."),
    (rf"从大到小排列：({_NUMBERS})。", "Sort from largest to smallest: {0}."),
    (rf"下列各数中哪个最大：({_NUMBERS})？", "Which of these numbers is the largest: {0}?"),
    (rf"下列各数中哪个第二小：({_NUMBERS})？", "Which of these numbers is the second smallest: {0}?"),
    (r"解方程：(.+)。求x。", "Solve for x: {0}."),
    (r"解方程组：(.+)，(.+)。按.*", "Solve {0} and {1}."),
    (r"(f\(\d+\)=.+)。写出f。", "{0}. Write f."),
    (r"骑士总说真话，.*", "Knights tell the truth, knaves lie; who are the knights, by what they say?"),
    (r"从左到右有(\d+)座房子，.*", "A zebra puzzle: who lives where in {0} houses, by clues?"),
    (r"袋中有.*取到.*球的概率.*", "A ball is drawn from a bag: with what probability has it this colour?"),
    (r"袋中有.*恰好有.*个红球的概率.*", "Balls are drawn from a bag: with what probability are so many of them red?"),
    (
        r"掷一个面为1到(\d+)的骰子和一个面为1到(\d+)的骰子，.*",
        "The sum of two dice, with {0} and {1} faces: how probable is it?",
    ),
    (r"一句话.*变成(.+)。原话是什么？", "A cipher: which message became {0}?"),
    (r"(?:\w比\w[高矮]。)+谁(?:最高|第二高|最矮)？", "Who has this place by height, by who is taller than whom?"),
    (
        r"(?:因为|已知|如果).*，(.+)等于多少？如果前提不成立，.*",
        "If what is said first is true, what is {0}? If not, refuse.",
    ),
)
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), sentence) for pattern, sentence in _WORDINGS)


def gloss(prompt: str) -> str:
    """Say in English what a generated Chinese problem asks.

    Args:
        prompt: The user's text; what a recipe puts around it does not count.

    Returns:
        A sentence; "" where the wording is none of ours.
    """
    for line in map(str.strip, prompt.splitlines()):
        for pattern, sentence in _PATTERNS:
            if found := pattern.fullmatch(line[:LONGEST]):
                return sentence.format(*map(_use_english_commas, found.groups()))
    return ""


def _use_english_commas(part: str) -> str:
    return part.replace("、", ", ").replace("和", " and ").strip()
