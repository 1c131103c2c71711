"""Which parts of a chain of thought reflect, and which show a behaviour, for readers of the text."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from dunwu.analysis.labels import sanitize
from dunwu.analysis.reasoning.behaviours import find_behaviours
from dunwu.analysis.reasoning.chain import read_chain
from dunwu.analysis.reasoning.reflection import find_reflections

HIGHLIGHTS: Mapping[str, str] = {
    "reflection": "word of reflection",
    "verification": "checks a result",
    "backtracking": "gives up and goes back",
    "alternatives": "tries another way",
    "subgoals": "solves in parts",
}
"""What is highlighted in a text, and what it is called."""
LONGEST_SHOWN = 100_000
"""Characters of a text that are shown; with many highlights they make a page of a megabyte."""
ENDS = " \t\n,.;:!?…)，、。；：！？）"
"""What belongs to the words before it."""


class Segment(NamedTuple):
    """A piece of a text, and the keys of ``HIGHLIGHTS`` that hold for all of it."""

    text: str
    kinds: tuple[str, ...]

    @property
    def label(self) -> str:
        """What the piece shows, in words."""
        return ", ".join(HIGHLIGHTS[kind] for kind in self.kinds)


class HighlightedText(NamedTuple):
    """A text in pieces, and how many characters behind them are not shown."""

    segments: tuple[Segment, ...]
    hidden: int

    @property
    def ending(self) -> str:
        """What stands behind the pieces: how much is not shown."""
        return f"\n… {self.hidden:,} characters more" if self.hidden else ""


def highlight(text: str) -> HighlightedText:
    """Split a completion where something begins or ends that a reader looks for.

    Args:
        text: The completion. Only its first ``LONGEST_SHOWN`` characters are read.

    Returns:
        The pieces; joined they are the text, sanitized.
    """
    shown = sanitize(text[:LONGEST_SHOWN])
    spans = [(start, end, "reflection") for start, end in find_reflections(shown)]
    spans += [(one.start, one.end, one.behaviour) for one in find_behaviours(read_chain(shown))]
    changes = defaultdict[int, Counter[str]](Counter)
    for start, end, kind in spans:
        changes[start][kind] += 1
        changes[end][kind] -= 1
    segments, current = list[Segment](), Counter[str]()
    for start, end in pairwise(sorted({0, len(shown), *changes})):
        current.update(changes.get(start, {}))
        segments.append(Segment(shown[start:end], tuple(kind for kind in HIGHLIGHTS if current[kind] > 0)))
    return HighlightedText(tuple(_give_back_ends(segments)), max(len(text) - LONGEST_SHOWN, 0))


def _give_back_ends(segments: Sequence[Segment]) -> list[Segment]:
    """Move punctuation between two highlighted pieces to the one that it ends."""
    moved = list[Segment]()
    for text, kinds in segments:
        rest = text.lstrip(ENDS) if kinds and moved and moved[-1].kinds else text
        if len(rest) < len(text):
            before = moved.pop()
            moved.append(before._replace(text=before.text + text.removesuffix(rest)))
        if rest:
            moved.append(Segment(rest, kinds))
    return moved
