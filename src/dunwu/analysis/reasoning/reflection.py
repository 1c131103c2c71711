"""Counting the words of reflection, as the paper does (arXiv 2501.12948v2, on how R1-Zero changes in training).

The English list is the paper's own; the Chinese one holds its counterparts. A count is a count of words, no more: "but"
need not reflect on anything, and 等等 also means "and so on". What a word is worth is read off against the base's rate.
"""

from __future__ import annotations

import re

ENGLISH = ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check")
CHINESE = ("等等", "等一下", "不对", "错", "但是", "然而", "再试", "重试", "重新", "检查", "验证", "评估")
WORDS = ENGLISH + CHINESE

_FIRST = "".join(sorted({letter for word in WORDS for letter in (word[0], word[0].upper())}))
_WORD = re.compile(
    # A place is looked at only where the first letter is one of a word's: everything else is passed over quickly.
    rf"[{_FIRST}](?i:"
    # English words stand alone: no letter or digit of a Latin word beside them (a Chinese character may be).
    rf"(?<![A-Za-z0-9_].)(?:{'|'.join(f'(?<={word[0]}){word[1:]}' for word in ENGLISH)})(?![A-Za-z0-9_])"
    # 不错 and 没错 say "good" and "right", the opposite of 错.
    rf"|(?<![不没].)(?<=错)|{'|'.join(f'(?<={word[0]}){word[1:]}' for word in CHINESE if word != '错')})"
)


def count_words(text: str) -> dict[str, int]:
    """Count each word of reflection.

    Args:
        text: The text. English counts by whole words in any case ("Wait," does, "waiting" does not), Chinese by
            substring.

    Returns:
        How often each word of ``WORDS`` stands in it, in that order, without the absent ones.
    """
    found = [match.group().lower() for match in _WORD.finditer(text)]
    return {word: found.count(word) for word in WORDS if word in found}


def count_reflections(text: str) -> int:
    """Count how many words of reflection stand in a text."""
    return len(_WORD.findall(text))


def find_reflections(text: str) -> list[tuple[int, int]]:
    """Find where words of reflection stand: (start, end) of each, ascending and disjoint."""
    return [match.span() for match in _WORD.finditer(text)]
