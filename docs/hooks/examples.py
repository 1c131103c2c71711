"""Write the page of examples from the files in ``examples/``: what each is about, and its code."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples"
PLACE = "extend/examples.md"
START = """# Examples

Small programs, each run by a test. They are in the folder `examples/` of a clone.

"""


def page() -> str:
    """Return the Markdown of the page."""
    return START + "\n".join(_section(file) for file in sorted(FOLDER.glob("*.py")))


def _section(file: Path) -> str:
    """Write a heading, the first line of the docstring, and the code below it."""
    source = file.read_text(encoding="utf-8")
    tree = ast.parse(source)
    about = (ast.get_docstring(tree) or "").partition("\n")[0]
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip()
    heading = file.stem.replace("_", " ").capitalize()
    return f'## {heading}\n\n{about}\n\n```python title="examples/{file.name}"\n{code}\n```\n'


def on_files(files: Any, config: Any) -> Any:
    """Add the page to the site (called by mkdocs)."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PLACE, content=page()))
    return files
