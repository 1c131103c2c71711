"""Answers rewritten into R1's format by rule: a chain in the first person, then a summary (R1, on cold start)."""

from __future__ import annotations

FIRST_PERSON = {"en": ("I think: ", "So my answer is "), "zh": ("我想：", "所以我的答案是")}
"""How a chain begins, and how a summary does."""


def by_rule(text: str, language: str) -> str:
    """``<think>chain</think> <answer>answer</answer>`` with the chain in the first person and a summary around the
    answer; a text of another shape as it is."""
    before, opened, rest = text.partition("<think>")
    chain, closed, after = rest.partition("</think>")
    answer = after.lstrip()
    shaped = opened and closed and "<think>" not in rest and answer.startswith("<answer>") and chain.strip()
    if before.strip() or not shaped:
        return text
    opening, summing = FIRST_PERSON.get(language, FIRST_PERSON["en"])
    chain = chain.strip().removeprefix(opening.strip()).strip()
    return f"{before}<think>{opening}{chain}</think> {summing}{answer}"
