"""Thoughts on questions that may rest on something false: the hasty calculate, whoever checks looks at the premise."""

from __future__ import annotations

from dunwu.pretraining.writers.writer import Author, Written
from dunwu.tasks.generators.premise import REFUSAL, WORDINGS, Premise, draw, random_premise

LEVEL = 1
LARGEST = 20
"""Number in a calculation."""
WRONG = {"en": "wrong", "zh": "不对"}


def premises(author: Author) -> Written:
    """A calculation under a premise; whoever checks refuses a false one."""
    rng = author.rng
    asked = draw(rng, LEVEL)
    premise = asked.premises[0]
    calculated = f"{asked.first}{asked.op.replace('×', '*')}{asked.second}={asked.value}"
    seen, refuses = "", False
    if author.checks:
        holds = premise.holds()
        seen = truth(author, premise) + author.words.comma + (author.words.yes if holds else WRONG[author.language])
        refuses = not holds and bool(author.turn())
    afterwards = refuses and rng.random() < 0.5
    if refuses and not afterwards:
        calculated = ""
    parts = [calculated, seen] if afterwards else [seen, calculated]
    thought = author.opener() + author.words.comma.join(part for part in parts if part)
    answer = REFUSAL[author.asked_in] if refuses else str(asked.value)
    return Written(asked.question(author.asked_in), asked.key, thought + author.end(), answer)


def drill(author: Author) -> str:
    """Premises with what is true, and calculations: ``18 < 6: 18 > 6, wrong. 12*17=204.``"""
    rng, lines = author.rng, list[str]()
    for _ in range(4):
        premise = random_premise(rng, LEVEL, rng.random() < 0.5)
        verdict = author.words.yes if premise.holds() else WRONG[author.language]
        colon = {"en": ": ", "zh": "："}[author.language]
        lines.append(f"{premise.written(author.language)}{colon}{truth(author, premise)}{author.words.comma}{verdict}")
        first, second = rng.randint(2, LARGEST), rng.randint(2, LARGEST)
        op = rng.choice("+-**")
        value = {"+": first + second, "-": first - second, "*": first * second}[op]
        lines.append(f"{first}{op}{second}={value}")
    return (author.words.stop + author.words.gap).join(lines) + author.words.stop


def truth(author: Author, premise: Premise) -> str:
    """What is true of the premise's numbers: ``7 is odd``, ``3 < 5``, ``2+4=6``."""
    a, b = premise.a, premise.b
    if premise.form in ("even", "odd"):
        return WORDINGS["odd" if a % 2 else "even", author.language].format(a=a)
    if premise.form in ("sum", "difference"):
        return f"{a}+{b}={a + b}" if premise.form == "sum" else f"{a}-{b}={a - b}"
    return f"{a} {'=' if a == b else '<' if a < b else '>'} {b}"
