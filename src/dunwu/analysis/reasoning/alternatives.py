"""One pattern of ``re`` for hundreds of alternatives, which fails early where none of them can begin.

``re`` tries alternatives one by one at every place. Here they are grouped by their first character, which is looked at
first. Alternatives that begin with different characters exclude each other, and within a group their order stays, so
the same is found at the same places.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

LETTERS = "A-Za-z\u0130\u0131\u017f\u212a"
"""What ``[A-Za-z]`` matches in any case."""
_FOLDED = {"i": "\u0130\u0131", "k": "\u212a", "s": "\u017f"}
"""Letters beyond ASCII that match these in any case."""
_BEHIND = re.compile(r"\(\?<!(\[[^]]+\]|\w)\)(\w)")
_FIRST = re.compile(r"\w(?![?*+{])")


def group_by_first_letter(alternatives: Sequence[str]) -> str:
    """Join alternatives into one pattern that matches in any case.

    Args:
        alternatives: Patterns that begin with a letter, see :func:`unfold`.

    Returns:
        A group that matches what ``(?i:first|second|...)`` does.
    """
    groups = defaultdict[str, list[str]](list)
    for alternative in alternatives:
        assert _FIRST.match(alternative), f"{alternative!r} begins with no letter"
        groups[alternative[0].lower()].append(alternative[1:])
    joined = (f"{_match_letter(first)}(?i:{'|'.join(rest)})" for first, rest in groups.items())
    return f"(?:{'|'.join(joined)})"


def _match_letter(letter: str) -> str:
    """Return a pattern of a small letter in any case, which ``re`` checks sooner than one that ignores case."""
    return f"[{letter}{letter.upper()}{_FOLDED.get(letter, '')}]"


def unfold(*patterns: str) -> list[str]:
    """Unfold groups at the beginning of patterns, so that each begins with a letter: ``(?:a|b)c`` into ``ac``, ``bc``.

    Args:
        patterns: Alternatives. A letter behind which another must not stand, ``(?<!a)b``, becomes ``b(?<!ab)``.

    Returns:
        Alternatives that match the same.
    """
    unfolded = list[str]()
    for pattern in patterns:
        if behind := _BEHIND.match(pattern):
            unfolded.append(f"{behind[2]}(?<!{behind[1]}{behind[2]}){pattern[behind.end() :]}")
        elif pattern.startswith("(?:"):
            *choices, rest = _split_group(pattern)
            choices, rest = ([*choices, ""], rest[1:]) if rest.startswith("?") else (choices, rest)
            unfolded += unfold(*(choice + rest for choice in choices))
        else:
            unfolded.append(pattern)
    return unfolded


def _split_group(pattern: str) -> list[str]:
    """Split a pattern that begins with a group into the group's alternatives, and what follows it."""
    depth, parts, start = 0, list[str](), len("(?:")
    for place, char in enumerate(pattern):
        depth += (char == "(") - (char == ")")
        if (char == "|" and depth == 1) or depth == 0:
            parts.append(pattern[start:place])
            start = place + 1
        if depth == 0:
            break
    return [*parts, pattern[start:]]
