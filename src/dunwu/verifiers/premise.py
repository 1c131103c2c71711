"""Misleading premises: a false one is refused in the words that the question asks for, a sound one answered.

The gold says which it is: a refusal, or the value. Nothing is guessed from keywords.
"""

from __future__ import annotations

from dunwu.verifiers.math.answers import same_literal
from dunwu.verifiers.texts import same_text
from dunwu.verifiers.verdict import Verdict, judge_equality

REFUSALS = ("refuse", "前提错误")
"""Golds that stand for a false premise; the answer has to be the gold's own, up to case, width and quotes."""


def check(gold: str, answer: str) -> Verdict:
    """Check an answer: it must be the refusal that the gold is, or a written number of the gold's value.

    Args:
        gold: One of ``REFUSALS`` where the premise is false; else the value.
        answer: What was answered.
    """
    refused = any(same_text(refusal, answer) for refusal in REFUSALS)
    if gold in REFUSALS:
        right = same_text(gold, answer)
        reason = "refuses a false premise" if right else f"the premise is false, and the answer not {gold}"
        return Verdict(right, reason)
    if refused:
        return Verdict(False, "refuses a sound premise")
    return judge_equality(gold, same_literal(gold, answer))
