"""The pages that people read, and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
COMMUNITY: Final = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "findings/README.md")
PAGES: Final = [*(ROOT / name for name in COMMUNITY), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE: Final = re.compile(r"(?P<indent> *)(?P<marks>`{3,})(?P<info>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block.

    Attributes:
        page: The file that it stands in.
        line: The line of its opening fence, from 1.
        language: The first word of the info string; empty where there is none.
        title: The name of the file that the block shows, or empty.
        text: What stands between the fences, without the fence's indent.
    """

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """Return a page's path from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    opening: re.Match[str] | None = None
    start, inside = 0, list[str]()
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.fullmatch(line)
        if opening is None:
            opening, start, inside = fence, number, []
        elif fence and not fence["info"].strip() and len(fence["marks"]) >= len(opening["marks"]):
            title = re.search(r'title="([^"]*)"', opening["info"])
            yield Block(
                page=page,
                line=start,
                language=opening["info"].strip().partition(" ")[0],
                title=title[1] if title else "",
                text="".join(f"{text}\n" for text in inside),
            )
            opening = None
        else:
            inside.append(line.removeprefix(opening["indent"]))
    assert opening is None, f"{name_of(page)}:{start}: the fence has no end"


def prose_lines(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line outside fenced blocks; a block is an empty line."""
    opening: re.Match[str] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.fullmatch(line)
        if fence and opening is None:
            opening = fence
            yield number, ""
        elif opening is not None:
            if fence and not fence["info"].strip() and len(fence["marks"]) >= len(opening["marks"]):
                opening = None
        else:
            yield number, line
