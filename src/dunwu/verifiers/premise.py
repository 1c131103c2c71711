"""Misleading premises: a false one is refused in the words that the question asks for, a sound one answered.

The gold says which it is: a refusal, or the value. Nothing is guessed from keywords.
"""

from __future__ import annotations

from dunwu.verifiers.math.answers import same_literal
from dunwu.verifiers.texts import same_text

REFUSALS = ("refuse", "前提错误")
"""Golds that stand for a false premise; the answer has to be the gold's own, up to case, width and quotes."""


def check(gold: str, answer: str) -> tuple[bool, str]:
    """Whether ``answer`` is right, and why: the refusal that ``gold`` is, or a written number of its value."""
    refused = any(same_text(refusal, answer) for refusal in REFUSALS)
    if gold in REFUSALS:
        right = same_text(gold, answer)
        return right, "refuses a false premise" if right else f"the premise is false, and the answer not {gold}"
    if refused:
        return False, "refuses a sound premise"
    right = same_literal(gold, answer)
    return right, f"equals {gold}" if right else f"does not equal {gold}"
