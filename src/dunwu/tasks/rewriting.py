"""Answers rewritten into R1's format: a chain in the first person, then a summary (R1, on cold start)."""

from __future__ import annotations

FIRST_PERSON = {"en": ("I think: ", "So my answer is "), "zh": ("我想：", "所以我的答案是")}
"""How a chain begins, and how a summary does."""


def strip_thought(reply: str) -> str:
    """Strip from a model's rewriting what it thought while it rewrote.

    A thought stands in think tags in front, or ends with one that the server's chat template opened; the rewriting may
    have think tags of its own, and they are the last.

    Args:
        reply: the content of the model's message.

    Returns:
        The rewriting; "" where a thought does not end.
    """
    before, opened, last = reply.rpartition("<think>")
    ends = last.count("</think>")
    if not opened or ends > 1:  # the last thought began in the prompt, and spoke of the tags at most
        return reply.rpartition("</think>")[2]
    between = before.rpartition("</think>")[2]
    return f"{between}{opened}{last}" if ends and "<think>" not in between else ""


def rewrite_by_rule(text: str, language: str) -> str:
    """Rewrite ``<think>chain</think> <answer>answer</answer>``: a chain in the first person, an answer in a summary.

    Args:
        text: The answer; one of another shape is returned unchanged.
        language: ``en`` or ``zh``; English words for any other.

    Returns:
        The answer in R1's format.
    """
    before, opened, rest = text.partition("<think>")
    chain, closed, after = rest.partition("</think>")
    answer = after.lstrip()
    shaped = opened and closed and "<think>" not in rest and answer.startswith("<answer>") and chain.strip()
    if before.strip() or not shaped:
        return text
    opening, summing = FIRST_PERSON.get(language, FIRST_PERSON["en"])
    chain = chain.strip().removeprefix(opening.strip()).strip()
    return f"{before}<think>{opening}{chain}</think> {summing}{answer}"
