"""Write about questions that may rest on something false: the hasty calculate, who checks looks at the premise."""

from __future__ import annotations

from dunwu.pretraining.writers.writer import Trace, Writer
from dunwu.tasks.generators.premise import REFUSAL, WORDINGS, Premise, draw, draw_premise

LEVEL = 1
LARGEST = 20
"""The largest number in a calculation."""
WRONG = {"en": "wrong", "zh": "不对"}


def write_premise(writer: Writer) -> Trace:
    """Write a calculation under a premise; who checks refuses a false one."""
    rng = writer.rng
    asked = draw(rng, LEVEL)
    premise = asked.premises[0]
    calculation = f"{asked.first}{asked.op.replace('×', '*')}{asked.second}={asked.value}"
    check, refuses = "", False
    if writer.checks:
        holds = premise.holds()
        check = write_truth(writer, premise) + writer.next_words().comma
        check += writer.next_words().yes if holds else WRONG[writer.next_language()]
        refuses = not holds and bool(writer.reflect())
    checks_late = refuses and rng.random() < 0.5
    if refuses and not checks_late:
        calculation = ""
    parts = [calculation, check] if checks_late else [check, calculation]
    thought = writer.begin() + writer.next_words().comma.join(part for part in parts if part)
    answer = REFUSAL[writer.question_language] if refuses else str(asked.value)
    return Trace(asked.write_question(writer.question_language), asked.key, thought + writer.end(), answer)


def write_drill(writer: Writer) -> str:
    """Write premises with what is true, and calculations: ``18 < 6: 18 > 6, wrong. 12*17=204.``."""
    rng, lines = writer.rng, list[str]()
    for _ in range(4):
        premise = draw_premise(rng, LEVEL, rng.random() < 0.5)
        verdict = writer.next_words().yes if premise.holds() else WRONG[writer.next_language()]
        colon = {"en": ": ", "zh": "："}[writer.next_language()]
        claim = f"{premise.write(writer.next_language())}{colon}"
        lines.append(f"{claim}{write_truth(writer, premise)}{writer.next_words().comma}{verdict}")
        first, second = rng.randint(2, LARGEST), rng.randint(2, LARGEST)
        op = rng.choice("+-**")
        value = {"+": first + second, "-": first - second, "*": first * second}[op]
        lines.append(f"{first}{op}{second}={value}")
    return (writer.next_words().stop + writer.next_words().space).join(lines) + writer.next_words().stop


def write_truth(writer: Writer, premise: Premise) -> str:
    """Write what is true of the premise's numbers: ``7 is odd``, ``3 < 5``, ``2+4=6``."""
    a, b = premise.a, premise.b
    if premise.form in ("even", "odd"):
        return WORDINGS["odd" if a % 2 else "even", writer.next_language()].format(a=a)
    if premise.form in ("sum", "difference"):
        return f"{a}+{b}={a + b}" if premise.form == "sum" else f"{a}-{b}={a - b}"
    return f"{a} {'=' if a == b else '<' if a < b else '>'} {b}"
