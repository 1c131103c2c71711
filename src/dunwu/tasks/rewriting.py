"""Answers rewritten into R1's format by rule: a chain in the first person, then a summary (R1, on cold start)."""

from __future__ import annotations

import re

FIRST_PERSON = {"en": ("I think: ", "So my answer is "), "zh": ("我想：", "所以我的答案是")}
"""How a chain begins, and how a summary does."""
CHAIN = re.compile(r"(\s*<think>)\s*(.*?)\s*(</think>)\s*(?=<answer>)", re.DOTALL)


def by_rule(text: str, language: str) -> str:
    """``<think>chain</think> <answer>answer</answer>`` with the chain in the first person and a summary around the
    answer; a text of another shape as it is."""
    opening, summing = FIRST_PERSON.get(language, FIRST_PERSON["en"])
    return CHAIN.sub(lambda found: f"{found[1]}{opening}{found[2]}{found[3]} {summing}", text, count=1)
