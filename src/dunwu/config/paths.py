"""Where the paths of a recipe are relative to: its file, or the current directory for an override."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dunwu.user_code import file_of, split_reference


def resolve_paths(tree: Any, base: Path) -> None:
    """Make absolute, in place: every ``path`` and ``file``, a model that is a path, the file of a reference."""
    if isinstance(tree, list):
        for entry in tree:
            resolve_paths(entry, base)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key in FUNCTION_TABLES:
                _split_functions(value)
            if key in ("path", "file") and isinstance(value, str):
                tree[key] = absolute(value, base)
            elif isinstance(value, str) and file_of(value) and "{" not in value:  # a template has placeholders
                file, name = split_reference(value)
                tree[key] = f"{absolute(file, base)}:{name}"
            elif key == "from" and isinstance(value, str):
                tree[key] = _resolve_model(value, base)
            elif key == "models" and isinstance(value, list):
                tree[key] = [_resolve_model(one, base) if isinstance(one, str) else one for one in value]
                resolve_paths(tree[key], base)
            else:
                resolve_paths(value, base)


def _resolve_model(source: str, base: Path) -> str:
    """Make a model's path absolute; its name and a hub id stay."""
    is_path = source.startswith((".", "/", "~")) or source.endswith(".gguf")
    return absolute(source, base) if is_path or ("/" in source and (base / source).is_dir()) else source


FUNCTION_TABLES = ("custom", "judge", "rewrite")
"""Tables, or lists of them, that name a function of the user's by ``file`` and ``function``."""


def _split_functions(tables: Any) -> None:
    """Split ``function = "file.py:name"`` into the fields file and function, in place."""
    # Not by a before-validator: behind one JSON's arrays are no tuples (findings/pydantic-before-validator.sh).
    for table in tables if isinstance(tables, list) else [tables]:
        function = table.get("function") if isinstance(table, dict) else None
        if isinstance(function, str) and table.get("file") is None and file_of(function):
            table["file"], table["function"] = split_reference(function)


def absolute(text: str, base: Path) -> str:
    """Make a path absolute that is relative to ``base``."""
    try:
        return str((base / Path(text).expanduser()).resolve())
    except (RuntimeError, ValueError):  # a link to itself, the home of nobody, a NUL byte: the plan finds no such file
        return os.path.abspath(base / text)
