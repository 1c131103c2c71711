"""From a TOML file and overrides to a validated recipe, and back to canonical JSON.

Whatever is wrong with the user's file becomes one line that names file and field. Paths in a recipe are relative to its
file; paths in an override are relative to the current directory, as the shell completes them.
"""

from __future__ import annotations

import copy
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dunwu.config.checks import check_recipe
from dunwu.config.fields import find_models_in, find_places
from dunwu.config.issues import Issue
from dunwu.config.nesting import DEEPEST, is_too_deep
from dunwu.config.overrides import Override, Tree, apply_override, locate_issue, parse_override
from dunwu.config.schema import Recipe, StageSpec, Weight, find_kind
from dunwu.config.schema.renames import RENAMED, RENAMED_VALUES, upgrade_recipe
from dunwu.errors import UserError, did_you_mean
from dunwu.user_code import file_of, split_reference


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply overrides, validate and check it.

    Args:
        path: the TOML file, or a run's recipe.json.
        overrides: ``stages.zero.rollout.group_size=8`` and the like, applied in order.

    Raises:
        UserError: the file cannot be read or is no TOML; a field is unknown, missing, of the wrong type, out of range,
            or does not fit the others. The line names the file (or the override) and the field.
    """
    tree = _read(path)
    _check_depth(tree, path)
    _resolve_paths(tree, path.absolute().parent)
    return validate_recipe(tree, overrides, path)


def validate_recipe(tree: Tree, overrides: Sequence[str] = (), path: Path | None = None) -> Recipe:
    """Validate and check a recipe's tables.

    Args:
        tree: The tables; changed in place.
        overrides: As for ``load_recipe``.
        path: The file that they come from, for errors.

    Raises:
        UserError: as ``load_recipe``.
    """
    _check_depth(tree, path or "the recipe")
    parsed = [parse_override(text) for text in overrides]
    for override in parsed:
        apply_override(tree, override)
        _check_depth(tree, override.place)
    _resolve_paths(tree, Path.cwd())
    homes: dict[str, str] = {}
    if issues := [*_dates(tree), *_share_tasks(tree, homes)]:
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


def _check_depth(tree: Tree, place: Path | str) -> None:
    """Raise UserError where what walks the tree would have to go deeper than Python does: ``a.a.a.a`` has no end."""
    if is_too_deep(tree):
        raise UserError(f"is nested deeper than {DEEPEST} levels", file=place)


def _resolve_paths(tree: Any, base: Path) -> None:
    """Make absolute, in place: every ``path`` and ``file``, a model that is a path, the file of a reference."""
    if isinstance(tree, list):
        for entry in tree:
            _resolve_paths(entry, base)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key in FUNCTION_TABLES:
                _split_functions(value)
            if key in ("path", "file") and isinstance(value, str):
                tree[key] = _absolute(value, base)
            elif isinstance(value, str) and file_of(value) and "{" not in value:  # a template has placeholders
                file, name = split_reference(value)
                tree[key] = f"{_absolute(file, base)}:{name}"
            elif key == "from" and isinstance(value, str):
                tree[key] = _resolve_model(value, base)
            elif key == "models" and isinstance(value, list):
                tree[key] = [_resolve_model(one, base) if isinstance(one, str) else one for one in value]
                _resolve_paths(tree[key], base)
            else:
                _resolve_paths(value, base)


def _resolve_model(source: str, base: Path) -> str:
    """Make a model's path absolute; its name and a hub id stay."""
    is_path = source.startswith((".", "/", "~")) or source.endswith(".gguf")
    return _absolute(source, base) if is_path or ("/" in source and (base / source).is_dir()) else source


FUNCTION_TABLES = ("custom", "judge", "rewrite")
"""Tables, or lists of them, that name a function of the user's by ``file`` and ``function``."""


def _split_functions(tables: Any) -> None:
    """Split ``function = "file.py:name"`` into the fields file and function, in place."""
    # Not by a before-validator: behind one JSON's arrays are no tuples (findings/pydantic-before-validator.sh).
    for table in tables if isinstance(tables, list) else [tables]:
        function = table.get("function") if isinstance(table, dict) else None
        if isinstance(function, str) and table.get("file") is None and file_of(function):
            table["file"], table["function"] = split_reference(function)


def _share_tasks(tree: Tree, homes: dict[str, str]) -> Iterator[Issue]:
    """Put the recipe's own ``[tasks.NAME]`` where stages name them, in place; note in ``homes`` which stands where."""
    shared, used = tree.pop("tasks", {}), set[str]()
    if not isinstance(shared, dict):
        yield Issue("tasks", "must be tables, [tasks.NAME]")
        return
    for holder, key, place in _task_places(tree):
        name = holder[key]
        if name in shared:
            holder[key] = copy.deepcopy(shared[name])
            used.add(name)
            homes[place] = f"tasks.{name}"
        else:
            known = ", ".join(shared) or "none"
            text = f"no task of this recipe is called {name!r} (known here: {known}){did_you_mean(name, shared)}"
            yield Issue(place, f"{text}; a task is a table, or the name of one under [tasks]")
    for name in shared.keys() - used:
        yield Issue(f"tasks.{name}", "no stage names it")


def _at_home(issues: Sequence[Issue], homes: Mapping[str, str]) -> list[Issue]:
    """Move what is wrong with a shared task to where it is written, each issue once."""
    moved: dict[Issue, None] = {}
    for issue in issues:
        place = next((place for place in homes if f"{issue.field}.".startswith(f"{place}.")), None)
        field = issue.field if place is None else homes[place] + issue.field.removeprefix(place)
        moved[Issue(field, issue.message)] = None
    return list(moved)


def _task_places(tree: Tree) -> Iterator[tuple[Any, Any, str]]:
    """Yield where a task is given by a name: what holds it, its key there, its place in the recipe."""
    stages = tree.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if not isinstance(stage, dict):
            continue
        tasks, evaluation = stage.get("tasks"), stage.get("evaluation")
        for index, task in enumerate(tasks if isinstance(tasks, list) else ()):
            if isinstance(task, str):
                yield tasks, index, f"stages.{name}.tasks.{index}"
        inner = evaluation.get("sets") if isinstance(evaluation, dict) else None
        for where, sets in (("sets", stage.get("sets")), ("evaluation.sets", inner)):
            for index, chosen in enumerate(sets if isinstance(sets, list) else ()):
                if isinstance(chosen, dict) and isinstance(chosen.get("task"), str):
                    yield chosen, "task", f"stages.{name}.{where}.{index}.task"


def _dates(value: Any, place: tuple[str, ...] = ()) -> Iterator[Issue]:
    """Find TOML's dates and times, which no field of a recipe is."""
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _dates(entry, (*place, str(key)))
    elif isinstance(value, date | time):
        yield Issue(".".join(place), f"must not be a date or time; as a text it is written {str(value)!r}")


def _absolute(text: str, base: Path) -> str:
    try:
        return str((base / Path(text).expanduser()).resolve())
    except (RuntimeError, ValueError):  # a link to itself, the home of nobody, a NUL byte: the plan finds no such file
        return os.path.abspath(base / text)


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
        elif kind == "literal_error" and given in RENAMED_VALUES.get(place[-1], {}):
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
