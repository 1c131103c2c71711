"""``--set a.b=c``: a path into the recipe and a TOML value."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dunwu.config.issues import Issue
from dunwu.config.packaged import name_file
from dunwu.config.toml import write_toml_value
from dunwu.errors import UserError, did_you_mean

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Override:
    """One ``--set``: the text as given, the path that it names, and the value."""

    text: str
    path: tuple[str, ...]
    value: Any

    @property
    def place(self) -> str:
        """What an error message calls it."""
        return f"--set {self.text}"


def write_overrides(overrides: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Return overrides as the command line takes them, ``PATH=VALUE``.

    Args:
        overrides: Those, or values by path: ``{"stages.zero.steps": 32}``.
    """
    if isinstance(overrides, str):
        return [overrides]
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{path}={write_toml_value(value)}" for path, value in overrides.items()]


def parse_override(text: str) -> Override:
    """Read ``a.b=c``; ``c`` is a TOML value, and where it is none, a bare string.

    Raises:
        UserError: no ``=``, or an empty part in the path.
    """
    path, equals, value = text.partition("=")
    parts = tuple(part.strip() for part in path.split("."))
    if not equals or not all(parts):
        raise UserError("an override is PATH=VALUE, e.g. stages.zero.steps=160", file=f"--set {text}")
    return Override(text, parts, parse_value(value.strip()))


def parse_value(text: str) -> Any:
    """Return a TOML value (number, boolean, array, inline table, quoted string), else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # no TOML, or more digits or brackets than the parser bears
        return text
    value = parsed["value"]
    is_plain = isinstance(value, bool | int | float | str | list | dict)
    return value if is_plain and len(parsed) == 1 else text


def apply_override(recipe: Tree, override: Override) -> None:
    """Put the value into the tree, in place. Missing tables on the way are made; stages and list entries are not.

    Raises:
        UserError: the path leads through something that is no table or list, or to a stage or entry that is not there.
    """
    here: Any = recipe
    last = len(override.path) - 1
    for depth in range(last):
        key = _key(here, override, depth)
        here = here.setdefault(key, {}) if isinstance(here, dict) else here[key]
    here[_key(here, override, last)] = override.value


def find_override(field: Sequence[str], overrides: Sequence[Override]) -> Override | None:
    """Find the last override that set this field, a part of it, or a table that holds it."""
    for override in reversed(overrides):
        shared = min(len(field), len(override.path))
        if tuple(field[:shared]) == override.path[:shared]:
            return override
    return None


def locate_issue(issue: Issue, file: Path | None, overrides: Sequence[Override]) -> UserError:
    """Make an error of an issue. It names the override that caused it, else the recipe's file."""
    override = find_override(issue.field.split("."), overrides)
    if override is None:
        return UserError(issue.message, file=name_file(file), field=issue.field)
    same = ".".join(override.path) == issue.field
    return UserError(issue.message, file=override.place, field=None if same else issue.field)


def _key(here: Any, override: Override, depth: int) -> str | int:
    """Return the part at ``depth`` of the override's path as a key of what lies there."""
    part, way = override.path[depth], ".".join(override.path[:depth])
    if isinstance(here, list):
        if part.isdecimal() and int(part) < len(here):
            return int(part)
        raise UserError(f"{way} has {len(here)} entries, counted from 0: there is no {part!r}", file=override.place)
    if not isinstance(here, dict):
        raise UserError(f"{way} is no table: it has no field {part}", file=override.place)
    if way == "stages" and part not in here:
        hint = did_you_mean(part, here) or "; there are: " + ", ".join(here)
        raise UserError(f"there is no stage {part!r}{hint}", file=override.place)
    return part
