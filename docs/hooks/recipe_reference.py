"""Write the reference of recipes from the schema: a page for the top of a recipe, and one for each kind of stage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from dunwu.config.fields import Field, list_fields
from dunwu.registry import stages

FOLDER = "reference/recipe"
TOP = """# The top of a recipe

These pages list every field of a recipe.
They are made from the schema that the program itself checks.
`dunwu schema FIELD` prints the same in a terminal.

"""
STAGE = """# Stage: {name}

{about}

```toml
[stages.NAME]
kind = "{kind}"
```

"""
NO_REAL_BOUND = re.compile(r",? <=? \d{7,}")
"""Upper bounds that only stop a slip of the keys."""


def pages() -> dict[str, str]:
    """Return the Markdown of each generated page by its place in the docs."""
    top = [field for field in list_fields() if not field.path.startswith("stages.")]
    found = {f"{FOLDER}/index.md": TOP + _tables(top, prefix="", title="name, seed and the tables")}
    for kind in stages.builtin:
        about, *fields = (field for field in list_fields() if f"{field.path}.".startswith(f"stages.{kind}."))
        heading = STAGE.format(name=kind.replace("_", " "), about=about.description, kind=kind)
        found[f"{FOLDER}/{kind}.md"] = heading + _tables(fields, prefix=f"stages.{kind}.", title="The stage itself")
    return found


def _tables(fields: Sequence[Field], *, prefix: str, title: str) -> str:
    """Write a section for each table of the recipe: what it is, and its fields."""
    above = prefix.removesuffix(".")
    tables = {
        field.path: field
        for field in fields
        if any(other.path.startswith(f"{field.path}.") for other in fields) and field.path != above
    }
    members: dict[str, list[Field]] = {path: [] for path in (above, *tables)}
    for field in fields:
        around = [path for path in tables if field.path.startswith(f"{path}.")]
        members[max(around, key=len, default=above)].append(field)
    sections = []
    for path, inside in members.items():
        table = tables.get(path)
        heading = (
            f"## `{path.removeprefix(prefix)}`\n\n{_sentence(table.description)}\n\n" if table else f"## {title}\n\n"
        )
        sections.append(heading + _table(path, inside))
    return "\n".join(sections)


def _table(path: str, fields: Iterable[Field]) -> str:
    lines = [
        f"| `{field.path.removeprefix(f'{path}.')}` | {_cell(NO_REAL_BOUND.sub('', field.type))} | {_default(field)} "
        f"| {_cell(field.description)} |"
        for field in fields
    ]
    return "| field | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(lines) + "\n"


def _default(field: Field) -> str:
    if field.default in ("", "required", "none"):
        return field.default
    return f"`{field.default}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _sentence(text: str) -> str:
    return text.replace("<", "&lt;")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to the site (called by mkdocs)."""
    from mkdocs.structure.files import File

    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    return files
