"""Write llms.txt, which lists the pages for language models, and llms-full.txt, which holds their text."""

from __future__ import annotations

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
    places = list(_places(config.nav))
    listed = [f"- [{title}]({place}): {_first_sentence(texts[place])}" for title, place in places]
    head = f"# {config.site_name}\n\n> {config.site_description}\n\n"
    (site / "llms.txt").write_text(head + "## Pages\n\n" + "\n".join(listed) + "\n", encoding="utf-8")
    (site / "llms-full.txt").write_text(
        head + "\n\n".join(texts[place].strip() for _, place in places) + "\n", encoding="utf-8"
    )
    for place, text in texts.items():
        copy = site / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")


def _places(nav: Any, above: str = "") -> Any:
    """Yield the title and the file of each page, in the order of the menu."""
    for entry in nav:
        if isinstance(entry, str):
            yield above, entry
            continue
        for title, below in entry.items():
            if isinstance(below, str):
                yield title, below
            else:
                yield from _places(below, title)


def _first_sentence(text: str) -> str:
    """Return the first sentence of a page: of the first paragraph below its heading."""
    paragraphs = (part for part in text.split("\n\n") if part[:1].isalpha() or part[:1] == "*")
    first = " ".join(next(paragraphs, "").split())
    return first.partition(". ")[0].removesuffix(".") + "."
