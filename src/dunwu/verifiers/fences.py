"""Fenced blocks of a text, read line by line as Markdown does.

A block opens with a line of three or more backticks or tildes, indented or behind the mark of a list's item, and closes
with a line of at least as many of the same; one that never closes runs to the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

FENCE = re.compile(r"([ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(`{3,}(?=[^`]*$)|~{3,})(.*)", re.DOTALL)
"""A line that opens a block: what it is indented by (perhaps the mark of a list's item), the fence, the info string."""


def split_blocks(text: str) -> Iterator[tuple[str | None, str]]:
    """Split a text at its fenced blocks.

    Args:
        text: the whole text.

    Returns:
        The parts in order: (info string, source) of a block, (None, text) of what stands before, between and after.
        A source has lost the indent of its fence. A fence with nothing behind it is no block.
    """
    indent, fence, info = "", "", None
    lines = list[str]()
    for line in text.split("\n"):
        if not fence and (opening := FENCE.fullmatch(line)):
            yield None, "\n".join(lines)
            indent, fence, info = opening[1], opening[2], opening[3].strip()
            lines = []
        elif fence and (bare := line.strip()).startswith(fence) and not bare.strip(fence[0]):
            yield info, "\n".join(lines)
            indent, fence, info = "", "", None
            lines = []
        else:
            lines.append(line[min(len(indent), len(line) - len(line.lstrip(" \t"))) :] if indent else line)
    if lines:
        yield info, "\n".join(lines)
