"""Write a page for each notebook in ``notebooks/``: its text, its code, and what it showed when it was last run."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "notebooks"
IMAGE = re.compile(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]*)"')


def pages() -> dict[str, str]:
    """Return the Markdown of each page, by its place in the site."""
    return {f"notebooks/{file.stem}.md": _page(file) for file in sorted(FOLDER.glob("*.ipynb"))}


def images() -> dict[str, bytes]:
    """Return the figures that the notebooks show, as SVG files by their places in the site."""
    return {
        f"notebooks/{name}": base64.b64decode(content)
        for file in sorted(FOLDER.glob("*.ipynb"))
        for name, _, content in _figures(file)
    }


def _page(file: Path) -> str:
    """Write the cells one after another; the notebook itself is named below the heading."""
    parts, figures = [], {content: f"![{text}]({name})" for name, text, content in _figures(file)}
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for text, html in map(_read_output, cell["outputs"]):
            parts += [f"```text\n{text.strip()}\n```"] if text.strip() else []
            parts += ["\n".join(figures[content] for content, _ in IMAGE.findall(html))]
    parts.append(f"This page is the notebook `notebooks/{file.name}` of a clone. A test runs it.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the file name, the description and the content of each figure of a notebook."""
    outputs = [out for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] for out in cell.get("outputs", [])]
    found = [image for _, html in map(_read_output, outputs) for image in IMAGE.findall(html)]
    for number, (content, text) in enumerate(found, 1):
        yield f"{file.stem}-{number}.svg", text, content


def _read_output(output: dict[str, Any]) -> tuple[str, str]:
    """Return an output as a text, and as HTML where it has that too."""
    data = output.get("data", {})
    return "".join(output.get("text", data.get("text/plain", ""))), "".join(data.get("text/html", ""))


def on_files(files: Any, config: Any) -> Any:
    """Add the pages and their figures to the site (called by mkdocs)."""
    from mkdocs.structure.files import File

    for place, content in (pages() | images()).items():
        files.append(File.generated(config, place, content=content))
    return files
