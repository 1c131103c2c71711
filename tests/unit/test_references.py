"""Names that prose quotes: what a docstring or comment calls ``module.name`` or ``_name`` is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "dunwu"
FILES = sorted(PACKAGE.rglob("*.py"))
SUFFIXES = {"py", "txt", "json"}
QUOTED = re.compile(r"``(?P<name>_?[A-Za-z][\w.]*\w)(?:\(\))?``")


def find_names(file: Path) -> set[str]:
    """Return what a file defines or uses, at any level."""
    names = set[str]()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name) | ast.Name(id=name):
                names.add(name)
            case ast.Attribute(attr=name) | ast.alias(name=name):
                names.add(name)
    return names


def find_modules(file: Path, parts: list[str]) -> list[Path]:
    """Return the modules that the first parts of a dotted name may be, as seen from a file."""
    folders = [folder for folder in file.parents if folder.is_relative_to(PACKAGE)]
    places = [folder.joinpath(*parts[:length]) for folder in folders for length in range(1, len(parts))]
    return [place.with_suffix(".py") for place in places if place.with_suffix(".py").is_file()]


def test_what_prose_quotes_is_there() -> None:
    names = {file: find_names(file) for file in FILES}
    fields = set[str]().union(*(names[file] for file in FILES if file.is_relative_to(PACKAGE / "config" / "schema")))
    gone = []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for match in QUOTED.finditer(text):
            *before, last = parts = match["name"].split(".")
            modules = find_modules(file, parts)
            known = fields.union(SUFFIXES, *(names[module] for module in modules))
            private = last.startswith("_") and not before and last not in names[file]
            if private or (modules and last not in known):
                gone.append(f"{file.relative_to(PACKAGE)}:{text.count(chr(10), 0, match.start()) + 1}: {match['name']}")
    assert gone == []
