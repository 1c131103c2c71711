"""What libraries raise, in plain words: a page for people shows no exception."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

FAILS: Final = re.compile(r"fails on a few tokens: .*")
"""What ``models.agreement`` says of a model whose forward raises."""
RULES: Final[Mapping[str, str]] = {
    r"requires the (\w+) library": r"it needs the library \1, which was not there",
    r"Config' object has no attribute '(\w+)'": r"its config has no `\1`, and the code asks for it",
    r"KeyError: '(\w+)'": r"its code looks for `\1`, and the config names none",
    r"(language)s? unknown": r"it must be told a \1 before it reads",
    r"(\w+) and (\w+) cannot be None": r"its input is `\1` and `\2` of another model, no tokens",
    r"make sure that `(\w+)=True`": r"it is causal only where its config says so (`\1`)",
    r"`?(\w+)`?(?: \(\d+\))? must (?:match|be equal to) (?:the number of )?`?(\w+)`?": (
        r"the small sizes break what its config ties together: `\1` and `\2`"
    ),
    r"(\w+) must be 0": r"the small sizes break what its config asks for: no `\1`",
    r"set of (layer types)": r"the small sizes break what its config ties together: its \1",
    r"takes \d+ positional argument": "its code does not build a model from a config of these sizes",
    r"(?i)index|size|shape|dimension": "its code does not fit the sizes that its config gives",
}
"""Patterns of what was raised, and how that is said; the first that is found counts."""
UNKNOWN: Final = "its code raises an error"


def in_plain_words(said: str) -> str:
    """Return a line of the page without the exception in it.

    Args:
        said: one of our own lines, or an exception as ``Kind: message``.
    """
    if failed := FAILS.search(said):
        return f"{said[: failed.start()]}fails on a few tokens: {_named(failed[0])}"
    return _named(said) if re.match(r"[A-Z]\w*(Error|Exception): ", said) else said


def _named(raised: str) -> str:
    for pattern, words in RULES.items():
        if found := re.search(pattern, raised):
            return found.expand(words)
    return UNKNOWN
