"""From a TOML file and overrides to a validated recipe, and back to canonical JSON.

Whatever is wrong with the user's file becomes one line that names file and field. Paths in a recipe are relative to its
file; paths in an override are relative to the current directory, as the shell completes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dunwu.config.checks import check_recipe
from dunwu.config.fields import find_models_in, find_places
from dunwu.config.files import check_depth, read_recipe_file
from dunwu.config.issues import Issue
from dunwu.config.overrides import Override, Tree, apply_override, locate_issue, parse_override
from dunwu.config.paths import resolve_paths
from dunwu.config.schema import Recipe, StageSpec, Weight, find_kind
from dunwu.config.schema.renames import RENAMED, RENAMED_VALUES
from dunwu.config.shared_tasks import share_tasks
from dunwu.errors import UserError, did_you_mean


def load_recipe(path: Path, overrides: Sequence[str] = (), begun: Tree | None = None) -> Recipe:
    """Read a recipe, apply overrides, validate and check it.

    Args:
        path: the TOML file, or a run's recipe.json.
        overrides: ``stages.zero.rollout.group_size=8`` and the like, applied in order.
        begun: The recipe of a run that is to go on with this one.

    Raises:
        UserError: the file cannot be read or is no TOML; a field is unknown, missing, of the wrong type, out of range,
            or does not fit the others. The line names the file (or the override) and the field.
    """
    tree, inherited = read_recipe_file(path)
    return validate_recipe(tree, overrides, path, inherited, begun)


def validate_recipe(
    tree: Tree,
    overrides: Sequence[str] = (),
    path: Path | None = None,
    inherited: Collection[str] = (),
    begun: Tree | None = None,
) -> Recipe:
    """Validate and check a recipe's tables.

    Args:
        tree: The tables; changed in place.
        overrides: As for ``load_recipe``.
        path: The file that they come from, for errors.
        inherited: Shared tasks of a recipe that it extends.
        begun: As for ``load_recipe``.

    Raises:
        UserError: as ``load_recipe``.
    """
    check_depth(tree, path or "the recipe")
    parsed = [parse_override(text) for text in overrides]
    for override in parsed:
        apply_override(tree, override)
        check_depth(tree, override.place)
    resolve_paths(tree, Path.cwd())
    _keep_types(tree, begun or {})
    homes: dict[str, str] = {}
    if issues := [*_dates(tree), *share_tasks(tree, inherited, homes)]:
        raise _user_error(issues, path, parsed)
    try:
        recipe = Recipe.model_validate_json(_write_json(tree, path), strict=True)
    except ValidationError as error:
        raise _user_error(_at_home(_explain(error, tree), homes), path, parsed) from None
    issues = list(check_recipe(recipe))
    if issues:
        raise _user_error(_at_home(issues, homes), path, parsed)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """Write a recipe as JSON with every default; ``Recipe.model_validate_json`` reads it back equal."""
    return json.dumps(recipe.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"


def _keep_types(tree: Tree, begun: Tree) -> None:
    """Have ``auto`` be the type that a run began with: another processor makes no other recipe."""
    for name, stage in begun.get("stages", {}).items():
        with suppress(AttributeError, KeyError, TypeError):  # of tables that are none, whoever validates them tells
            model = tree["stages"][name]["model"]
            if model["dtype"] == "auto":
                model["dtype"] = stage["model"]["dtype"]


def _write_json(tree: Tree, path: Path | None) -> str:
    """Write tables as JSON; those from Python may hold paths and numbers of numpy.

    Raises:
        UserError: They hold something that no recipe can.
    """

    def convert(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "tolist"):
            return value.tolist()
        raise UserError(f"{value!r:.60} is {type(value).__name__}, which no field of a recipe is", file=path)

    return json.dumps(tree, default=convert)


def _at_home(issues: Sequence[Issue], homes: Mapping[str, str]) -> list[Issue]:
    """Move what is wrong with a shared task to where it is written, each issue once."""
    moved: dict[Issue, None] = {}
    for issue in issues:
        place = next((place for place in homes if f"{issue.field}.".startswith(f"{place}.")), None)
        field = issue.field if place is None else homes[place] + issue.field.removeprefix(place)
        moved[Issue(field, issue.message)] = None
    return list(moved)


def _dates(value: Any, place: tuple[str, ...] = ()) -> Iterator[Issue]:
    """Find TOML's dates and times, which no field of a recipe is."""
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _dates(entry, (*place, str(key)))
    elif isinstance(value, date | time):
        yield Issue(".".join(place), f"must not be a date or time; as a text it is written {str(value)!r}")


SHOWN = 4
"""Fields that an error names beside the first."""


def _user_error(issues: Sequence[Issue], path: Path | None, overrides: Sequence[Override]) -> UserError:
    """Make an error of the first issue, which names the fields of the others."""
    if len(issues) == 1:
        return locate_issue(issues[0], path, overrides)
    first, others = issues[0], list(dict.fromkeys(issue.field for issue in issues[1:]))
    named = ", ".join(others[:SHOWN]) + (", ..." if len(others) > SHOWN else "")
    message = first.message + (f" (and {len(issues) - 1} more: {named})" if others else "")
    error = locate_issue(Issue(first.field, message), path, overrides)
    error.others = tuple(locate_issue(issue, path, overrides) for issue in issues)
    return error


def _explain(error: ValidationError, tree: Tree) -> list[Issue]:
    """Put pydantic's errors into the recipe's own terms; missing fields come last: a misspelt one is missing too."""
    issues = []
    for item in sorted(error.errors(include_url=False), key=lambda item: item["type"] == "missing"):
        kind, context, given = item["type"], item.get("ctx", {}), item["input"]
        place = _written([str(part) for part in item["loc"] if part != "[key]"], tree)
        if kind == "missing":
            message = "is missing"
        elif kind == "extra_forbidden" and place[-1] in RENAMED:
            message = f"is now called {RENAMED[place[-1]]}"
        elif kind == "extra_forbidden":
            hint = _elsewhere(place, tree) or did_you_mean(place[-1], _field_names(place[:-1], tree))
            message = f"unknown field{hint}"
        elif kind == "wrong_kind":
            message = item["msg"]
        elif kind == "literal_error" and isinstance(given, str) and given in RENAMED_VALUES.get(place[-1], {}):
            message = f"{given} is now called {RENAMED_VALUES[place[-1]][given]}"
        elif kind == "too_short":
            message = f"needs at least {context['min_length']} {'entry' if context['min_length'] == 1 else 'entries'}"
        elif context.get("class_name") == Weight.__name__:
            message = f"must be a number or a table, not {_short(given)}"
        elif kind == "tuple_type" and isinstance(given, dict) and _field_names(place, tree):
            message = f"must be an array of tables: write [[{'.'.join(place)}]]"
        elif kind == "string_pattern_mismatch":
            message = f"may hold letters, digits, - and _ only, not {given!r}"
        else:
            message = f"{_must(item['msg'])}, not {_short(given)}"
        issues.append(Issue(".".join(place), message))
    return issues


def _elsewhere(place: Sequence[str], tree: Tree) -> str:
    """``; did you mean stages.zero.steps?`` where a field of this very name stands in a stage: its own, if in one."""
    stages = tree["stages"].items() if isinstance(tree.get("stages"), dict) else ()
    kinds = {name: str(stage.get("kind")) for name, stage in stages if isinstance(stage, dict)}
    if place[0] == "stages":
        kinds = {name: kind for name, kind in kinds.items() if name == place[1]}
    found = find_places(place[-1], kinds)
    nearest = [path for path in found if path.count(".") == found[0].count(".")]
    return f"; did you mean {' or '.join(nearest[:SHOWN])}?" if nearest else ""


def _written(place: list[str], tree: Any) -> list[str]:
    """Cut a place where the recipe's tables end: a number is a whole weight, and has no fields."""
    for depth, part in enumerate(place[:-1]):
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
        if not isinstance(tree, dict | list):
            return place[: depth + 1]
    return place


def _must(message: str) -> str:
    message = message.replace("Input should be", "must be").replace("String should", "must")
    return message.replace("an object", "a table")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _field_names(place: Iterable[str], tree: Tree) -> list[str]:
    """List the fields that a table of the recipe may have; the kind of a stage stands in ``tree``."""
    models: list[type[BaseModel]] = [Recipe]
    given: Any = tree
    for part in place:
        given = given[int(part)] if isinstance(given, list) else given.get(part, {})
        fields = [model.model_fields[name] for model in models for name in model.model_fields if name == part]
        if fields:
            models = [model for field in fields for model in find_models_in(field.annotation)]
        if models == [StageSpec] and isinstance(given, Mapping) and isinstance(given.get("kind"), str):
            with suppress(UserError):  # whoever reads the stage says that there is no such kind
                models = [find_kind(given["kind"]).schema]
    return [field.alias or name for model in models for name, field in model.model_fields.items()]
