"""Write llms.txt, which lists the pages for language models, and llms-full.txt, which holds their text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

texts: dict[str, str] = {}
"""The Markdown of each page that was built, by its place in the site."""


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> None:
    """Keep the text of a page (called by mkdocs)."""
    texts[page.file.src_uri] = markdown


def on_post_build(config: Any) -> None:
    """Write both files into the site (called by mkdocs)."""
    site = Path(config.site_dir)
    head = f"# {config.site_name}\n\n> {config.site_description}\n"
    listed, whole = head, head
    for section in config.nav:
        for title, below in section.items():
            listed += f"\n## {title}\n\n"
            for place in _places(below):
                listed += f"- [{_heading(texts[place])}]({place}): {_first_sentence(texts[place])}\n"
                whole += f"\n{texts[place].strip()}\n"
    (site / "llms.txt").write_text(listed, encoding="utf-8")
    (site / "llms-full.txt").write_text(whole, encoding="utf-8")
    for place, text in texts.items():
        copy = site / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")


def _places(entries: list[Any]) -> Iterator[str]:
    """Yield the file of each page of a part of the menu, in order."""
    for entry in entries:
        for below in [entry] if isinstance(entry, str) else entry.values():
            if isinstance(below, str):
                yield below
            else:
                yield from _places(below)


def _heading(text: str) -> str:
    """Return the heading of a page."""
    return text.strip().partition("\n")[0].removeprefix("# ").replace("`", "")


def _first_sentence(text: str) -> str:
    """Return the first sentence of a page: of the first paragraph below its heading."""
    paragraphs = (part for part in text.split("\n\n") if re.match(r"[\w*`](?!``)", part))
    first = " ".join(next(paragraphs, "").split())
    return first.partition(". ")[0].removesuffix(".") + "."
