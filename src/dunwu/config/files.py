"""A recipe's file, and the recipe that it extends: from text to tables, every path in them absolute."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from dunwu.config.nesting import DEEPEST, is_too_deep
from dunwu.config.overrides import Tree
from dunwu.config.packaged import find_packaged_recipe, hint_recipes, name_file
from dunwu.config.paths import absolute, resolve_paths
from dunwu.config.schema.renames import upgrade_recipe
from dunwu.errors import UserError

EXTENDS: Final = "extends"
"""The field that names the extended recipe."""
LONGEST: Final = 16
"""Recipes, each of which extends the next."""


class RecipeFile(NamedTuple):
    """What a recipe's file holds, with the recipe that it extends."""

    tree: Tree
    inherited: frozenset[str]
    """Shared tasks that come from the extended recipe alone: stages need not name them."""


def read_recipe_file(path: Path) -> RecipeFile:
    """Read a recipe's tables, with those of the recipe that it extends.

    Args:
        path: the TOML file, or a run's recipe.json.

    Raises:
        UserError: a file cannot be read, is no TOML, is nested too deep, or extends itself or too many.
    """
    return _read_whole(path, ())


def _read_whole(path: Path, inner: Sequence[Path]) -> RecipeFile:
    """Read a file and what it extends; ``inner`` are the files that extend this one."""
    if any(os.path.realpath(path) == os.path.realpath(other) for other in inner):
        raise UserError("the recipe extends itself", file=name_file(inner[-1]), field=EXTENDS)
    if len(inner) > LONGEST:
        raise UserError(f"more than {LONGEST} recipes extend each other", file=name_file(inner[0]), field=EXTENDS)
    tree = _read(path)
    check_depth(tree, path)
    extended = tree.pop(EXTENDS, None)
    resolve_paths(tree, path.absolute().parent)
    if extended is None:
        return RecipeFile(tree, frozenset())
    below, _ = _read_whole(_find_extended(extended, path), (*inner, path))
    below.pop("name", None)  # runs of two recipes are not to share a folder
    own, theirs = (tables.get("tasks") for tables in (tree, below))
    inherited = frozenset(theirs if isinstance(theirs, dict) else ()) - frozenset(own if isinstance(own, dict) else ())
    return RecipeFile(_merge(below, tree), inherited)


def _find_extended(extended: Any, path: Path) -> Path:
    """Find the file that ``extends`` names: relative to the file that says so, or by the name of a packaged recipe."""
    if not isinstance(extended, str) or not extended:
        raise UserError("must be the file or the name of a recipe", file=name_file(path), field=EXTENDS)
    near = Path(absolute(extended, path.absolute().parent))
    file = near if os.path.isfile(near) else find_packaged_recipe(extended)  # a Path raises where a name is too long
    if file is None:
        text = f"no such file, and no recipe of this name; {hint_recipes(extended)}"
        raise UserError(f"{extended}: {text}", file=name_file(path), field=EXTENDS)
    return file


def _merge(tree: Tree, over: Tree) -> Tree:
    """Put one recipe's tables over another's: tables are merged, everything else replaces what was there."""
    merged = dict(tree)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _read(path: Path) -> Tree:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _read_json(text, path) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise UserError("no such file", file=path) from None
    except IsADirectoryError:
        raise UserError("is a folder; a recipe is a TOML file", file=path) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError("is not UTF-8 text", file=path, field=f"line {line}") from None
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rstrip(")").partition(" (at ")
        raise UserError(f"broken TOML: {reason}", file=path, field=place or None) from None
    except UserError:  # a ValueError too
        raise
    except (RecursionError, ValueError) as error:  # tables nested thousands deep; integers of thousands of digits
        raise UserError(f"broken TOML: {error}", file=path) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from None


def _read_json(text: str, path: Path) -> Tree:
    """Read a recipe as a run directory holds it: ``dump_recipe`` wrote it, paths absolute."""
    try:
        tree = json.loads(text, object_pairs_hook=_table)
    except (RecursionError, ValueError) as error:
        raise UserError(f"broken JSON: {error}", file=path) from None
    if not isinstance(tree, dict):
        raise UserError("is no recipe: not a JSON object", file=path)
    return upgrade_recipe(tree)


def _table(pairs: list[tuple[str, Any]]) -> Tree:
    """Make a JSON object.

    Raises:
        ValueError: It has a key twice. TOML refuses that too.
    """
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has the key {next(name for name in names if names.count(name) > 1)!r:.60} twice")
    return table


def check_depth(tree: Tree, place: Path | str) -> None:
    """Raise UserError where what walks the tree would have to go deeper than Python does: ``a.a.a.a`` has no end."""
    if is_too_deep(tree):
        raise UserError(f"is nested deeper than {DEEPEST} levels", file=place)
