"""Fenced blocks of a text, as Markdown has them.

A block opens with a line of three or more backticks or tildes, indented or behind the mark of a list's item, and closes
with a line of at least as many of the same; one that never closes runs to the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

BLOCK = re.compile(
    r"(?m:^)(?P<indent>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(?P<fence>`{3,}(?=[^`\n]*(?m:$))|~{3,})(?P<info>[^\n]*)"
    r"(?P<lines>.*?)(?:(?P<close>\n[^\S\n]*(?P=fence)(?:(?<=`)`*|(?<=~)~*)[^\S\n]*(?m:$))|\Z)",
    re.DOTALL,
)
"""A whole block; ``lines`` has a line break before each."""


def read_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the fenced blocks of a text in order.

    A fence that nothing follows is no block.

    Args:
        text: All of it.

    Yields:
        The info string of a block, and what stands in it without the indent of its fence.
    """
    for block in BLOCK.finditer(text):
        if block["lines"] or block["close"]:
            indent = len(block["indent"])
            lines = block["lines"].split("\n")[1:]
            yield block["info"].strip(), "\n".join(_strip_indent(line, indent) for line in lines)


def _strip_indent(line: str, indent: int) -> str:
    return line[min(indent, len(line) - len(line.lstrip(" \t"))) :]
