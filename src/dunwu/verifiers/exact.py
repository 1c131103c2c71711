"""Answers that are words: one text, a sequence, a set, or the letter of a choice."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

LONGEST = 2000
SEPARATOR = re.compile(r"\s*(?:[,;、<>]|\band\b|和|\s)\s*")
LETTER = re.compile(
    r"(?:option|choice|选项|选)?\s*[(\[]?\s*([a-z])\s*[)\]]?(?:\s*[.:、)]\s*(?P<text>.*)|\s*)", re.I | re.DOTALL
)


def folded(text: str) -> str:
    """One form, case, width and spacing; no math wrapper, no outer quotes or full stop."""
    text = unicodedata.normalize("NFKC", text[: LONGEST + 1]).casefold().replace("−", "-")
    text = re.sub(r"\\(?:text(?:bf|rm|it)?|math(?:bf|rm|it))\s?\{([^{}]*)\}", r"\1", text)
    return " ".join(text.split()).strip(" .。\"'“”‘’$*`")


def same_text(gold: str, answer: str) -> bool:
    """Equal after ``folded``."""
    return bool(folded(answer)) and folded(gold) == folded(answer)


def items(text: str) -> list[str]:
    """The members of a list separated by commas, spaces, "and" or their Chinese forms, outer brackets dropped."""
    return [bare for item in SEPARATOR.split(folded(text).strip("[](){}")) if (bare := item.strip("$"))]


def same_sequence(gold: str, answer: str) -> bool:
    """The same members in the same order."""
    return bool(items(answer)) and items(gold) == items(answer)


def same_set(gold: str, answer: str) -> bool:
    """The same members, each as often, in any order."""
    return bool(items(answer)) and Counter(items(gold)) == Counter(items(answer))


def same_choice(options: tuple[str, ...], gold: str, answer: str) -> bool:
    """Whether ``answer`` names the option of letter ``gold``: by letter ("B", "(b)", "B. text") or by its whole text.

    A letter with a text must go with that option's text. Where no ``options`` are known only the letter counts.
    """
    return chosen(options, answer) == gold.strip().upper()


def chosen(options: tuple[str, ...], answer: str) -> str | None:
    """The upper-case letter that ``answer`` chooses, None where it chooses none, or a letter with another's text."""
    texts = [folded(option) for option in options]
    given = folded(answer)
    if given in texts:
        return chr(ord("A") + texts.index(given))
    match = LETTER.fullmatch(given)
    if match is None:
        return None
    letter = match[1].upper()
    place = ord(letter) - ord("A")
    agrees = not match["text"] or not texts or (place < len(texts) and folded(match["text"]) == texts[place])
    return letter if agrees else None
