"""The lines that the FAQ explains are lines that the program says."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, prose_lines

FAQ = ROOT / "docs" / "faq.md"


def explained() -> list[str]:
    """The pieces of error lines that are headings of the FAQ."""
    return [found[1] for _, line in prose_lines(FAQ) if (found := re.fullmatch(r"### `([^`]+)`", line))]


def test_the_lines_of_the_faq_are_said_by_the_program() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src" / "dunwu").rglob("*.py")]
    said = "\n".join(re.sub(r'"\s*\n\s*f?"', "", source) for source in sources)
    assert len(explained()) > 20
    assert [line for line in explained() if line not in said] == []
