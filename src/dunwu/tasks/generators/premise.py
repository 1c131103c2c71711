"""Misleading premises: "Since 7 is even, what is 7 + 3?" A false premise is to be refused, a sound one to be used.

Half of the draws are sound, in the same words, and the question itself says how to refuse, so that grading is exact
(``kind`` is ``premise``). Refusing always scores a half, and so does refusing never.

Levels: 1 comparisons and parity; 2 sums and differences; 3 products, divisors and primes; 4 two premises of any of
these, where a false draw has one false premise or two.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from dunwu.tasks.task import Draft, Generator

REFUSAL = {"en": "refuse", "zh": "前提错误"}
"""The answer to a false premise, in the words of the question."""
FORMS = {
    1: ("equal", "less", "greater", "even", "odd"),
    2: ("sum", "difference"),
    3: ("product", "divisible", "prime"),
}
LARGEST = {1: 20, 2: 99, 3: 30}
WORDINGS = {
    ("equal", "en"): "{a} = {b}",
    ("less", "en"): "{a} < {b}",
    ("greater", "en"): "{a} > {b}",
    ("even", "en"): "{a} is even",
    ("odd", "en"): "{a} is odd",
    ("sum", "en"): "{a} + {b} = {c}",
    ("difference", "en"): "{a} - {b} = {c}",
    ("product", "en"): "{a} × {b} = {c}",
    ("divisible", "en"): "{a} is divisible by {b}",
    ("prime", "en"): "{a} is prime",
    ("even", "zh"): "{a}是偶数",
    ("odd", "zh"): "{a}是奇数",
    ("divisible", "zh"): "{a}能被{b}整除",
    ("prime", "zh"): "{a}是质数",
}
"""Formulas are written alike in both languages."""
QUESTION = {
    "en": "{opening} {premise}, what is {asked}? If the premise is false, answer with the word refuse; otherwise "
    "answer with the number.",
    "zh": "{opening}{premise}，{asked}等于多少？如果前提不成立，只回答“前提错误”；否则回答数值。",
}
OPENINGS = {"en": ("Since", "Given that", "If"), "zh": ("因为", "已知", "如果")}
JOINT = {"en": " and ", "zh": "，而且"}


class Premise(NamedTuple):
    """A claim on integers; which of them it uses, its form says."""

    form: str
    a: int
    b: int
    c: int

    def holds(self) -> bool:
        """Return whether it is true."""
        a, b, c = self.a, self.b, self.c
        return {
            "equal": a == b,
            "less": a < b,
            "greater": a > b,
            "even": a % 2 == 0,
            "odd": a % 2 == 1,
            "sum": a + b == c,
            "difference": a - b == c,
            "product": a * b == c,
            "divisible": a % b == 0,
            "prime": a > 1 and all(a % divisor for divisor in range(2, a)),
        }[self.form]

    def write(self, language: str) -> str:
        """Write the claim as words or a formula."""
        wording = WORDINGS.get((self.form, language), WORDINGS[self.form, "en"])
        return wording.format(a=self.a, b=self.b, c=self.c)

    def canonicalize(self) -> str:
        """Return a text that is the same for a claim and its mirror image, as 3 < 5 and 5 > 3."""
        mirrored = self.form == "greater" or (self.form in ("equal", "sum", "product") and self.a > self.b)
        a, b = (self.b, self.a) if mirrored else (self.a, self.b)
        return Premise("less" if self.form == "greater" else self.form, a, b, self.c).write("en")


def draw_premise(rng: random.Random, level: int, sound: bool) -> Premise:
    """Draw a premise.

    Args:
        rng: The draft's.
        level: From 1 to 3.
        sound: Whether it is true; a false one is so by as little as a mistake makes it.
    """
    form = rng.choice(FORMS[level])
    while True:
        a, b = rng.randint(2, LARGEST[level]), rng.randint(2, LARGEST[level])
        if form in ("divisible", "prime"):
            a, b = rng.randint(2, 200), rng.randint(2, 13)
        if form == "equal" and sound:
            b = a
        result = {"sum": a + b, "difference": a - b, "product": a * b}.get(form, 0)
        premise = Premise(form, a, b, result if sound else result + rng.choice((-10, -2, -1, 1, 2, 10)))
        if premise.holds() == sound:
            return premise


class Calculation(NamedTuple):
    """What is asked for: ``first op second``, given one premise or two.

    Attributes:
        premises: What it rests on.
        first: A number.
        op: ``+``, ``-`` or ``×``.
        second: Another number.
        opening: Which of ``OPENINGS`` begins the question.
    """

    premises: tuple[Premise, ...]
    first: int
    op: str
    second: int
    opening: int

    @property
    def sound(self) -> bool:
        """Whether all that it rests on is true."""
        return all(premise.holds() for premise in self.premises)

    @property
    def value(self) -> int:
        """The calculation's result, whatever the premises."""
        first, second = self.first, self.second
        return {"+": first + second, "-": first - second, "×": first * second}[self.op]

    @property
    def key(self) -> str:
        """The content, the same in every wording and language, and for mirror images."""
        a, b = (self.first, self.second) if self.op == "-" else sorted((self.first, self.second))
        return f"{'; '.join(sorted(premise.canonicalize() for premise in self.premises))}: {a} {self.op} {b}"

    def write_question(self, language: str) -> str:
        """Write the question in words, with how to refuse."""
        return QUESTION[language].format(
            opening=OPENINGS[language][self.opening],
            premise=JOINT[language].join(premise.write(language) for premise in self.premises),
            asked=f"{self.first} {self.op} {self.second}",
        )


def draw(rng: random.Random, level: int) -> Calculation:
    """Draw a calculation with the premise's number; half of all rest on what is true."""
    sound = rng.random() < 0.5
    if level < 4:
        premises = [draw_premise(rng, level, sound)]
        first, second = premises[0].a, rng.randint(2, 20)
    else:
        truths = (True, True) if sound else rng.choice(((True, False), (False, True), (False, False)))
        premises = [draw_premise(rng, rng.randint(1, 3), truth) for truth in truths]
        first, second = (premise.a for premise in premises)
    return Calculation(tuple(premises), first, rng.choice("+-×"), second, rng.randrange(len(OPENINGS["en"])))


def draft(rng: random.Random, level: int, language: str) -> Draft:
    """Draft a calculation; the gold is its value, or the refusal."""
    calculation = draw(rng, level)
    gold = str(calculation.value) if calculation.sound else REFUSAL[language]
    return Draft(question=calculation.write_question(language), gold=gold, kind="premise", key=calculation.key)


PREMISE = Generator(draft, levels=(1, 2, 3, 4))
