"""What a recipe may say: every field with its type, default and meaning, and the whole as a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dunwu.config.references import names_of
from dunwu.config.schema import Recipe, TaskSpec, Weight, find_kind
from dunwu.errors import UserError, did_you_mean
from dunwu.registry import stages

ANY_NAME = "NAME"
"""Stands in a path for what the recipe names itself: its data, its shared tasks."""
WORDS = {int: "integer", float: "number", str: "text", bool: "true or false", Path: "path", NoneType: "none"}
SIGNS = {Gt: (">", "gt"), Ge: (">=", "ge"), Lt: ("<", "lt"), Le: ("<=", "le")}
REQUIRED = "required"
MOST_LISTED = 4
"""Names of a registry's entries that stand in a field's type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a recipe, or a table of fields.

    Attributes:
        path: Where it stands, ``stages.rl.rollout.group_size``: stages by their kind.
        type: In words, with bounds: ``integer > 1``.
        default: As TOML writes it; ``required`` where there is none; empty for a table.
        description: What it means, with units.
    """

    path: str
    type: str
    default: str
    description: str


@cache
def list_fields() -> tuple[Field, ...]:
    """List every field that a recipe may have, in the schema's order; a table comes before its fields."""
    shared = Field(
        path="tasks",
        type="table",
        default="",
        description="Tasks by name; wherever a stage takes a task, it may give such a name instead.",
    )
    extends = Field(
        path="extends",
        type="text",
        default="",
        description="The file or the name of a recipe: tables of this one are put over its tables, field by field.",
    )
    return (*_fields(Recipe, ()), extends, shared, *_fields(TaskSpec, ("tasks", ANY_NAME)))


def find_fields(text: str) -> list[Field]:
    """Find what a path or the end of one names; a table comes with the fields directly in it.

    Args:
        text: ``stages.rl.rollout``, or the same by a stage's own name, or only ``group_size``. Places in lists do
            not count. Empty: the top of the recipe.

    Raises:
        UserError: there is no such field.
    """
    wanted = [part for part in text.split(".") if part and not part.isdecimal()]
    known = [(field, field.path.split(".")) for field in list_fields()]
    found = [path for _, path in known if _is_at(path, wanted)]
    found = found or [path for _, path in known if path[-len(wanted) :] == wanted]
    if wanted and not found:
        names = dict.fromkeys(path[-1] for _, path in known)
        raise UserError(f"a recipe has no field {text!r:.80}{did_you_mean(wanted[-1], names)}")
    tops = found or [[]]
    return [field for field, path in known if path in found or any(_is_in(path, top) for top in tops)]


def find_places(name: str, kinds: Mapping[str, str]) -> list[str]:
    """Find where in a recipe's stages a field of this name may stand.

    Args:
        name: The last part of a path, ``group_size``.
        kinds: The kind of each stage, by its name.

    Returns:
        Paths as the recipe writes them, ``stages.zero.rollout.group_size``, those with the fewest parts first.
    """
    paths = [path for field in list_fields() if (path := field.path.split("."))[-1] == name and ANY_NAME not in path]
    found = [
        ".".join(("stages", stage, *path[2:]))
        for stage, kind in kinds.items()
        for path in paths
        if path[:2] == ["stages", kind] and path[2:]
    ]
    return sorted(dict.fromkeys(found), key=lambda path: path.count("."))


def make_json_schema() -> dict[str, Any]:
    """Build the JSON schema of a recipe, for editors: what TOML may say, before names of tasks are looked up."""
    schema = Recipe.model_json_schema(by_alias=True)
    mapping = _define_stages(schema["$defs"])
    stage = {
        "oneOf": [{"$ref": place} for place in mapping.values()],
        "discriminator": {"propertyName": "kind", "mapping": mapping},
    }
    (names,) = schema["properties"]["stages"]["patternProperties"]
    schema["properties"]["stages"]["patternProperties"] = {names: stage}
    schema = _as_written(schema)
    task = {"$ref": "#/$defs/TaskSpec"}
    written = {field.path: field.description for field in list_fields()}
    schema["properties"]["tasks"] = {"type": "object", "additionalProperties": task, "description": written["tasks"]}
    schema["properties"]["extends"] = {"type": "string", "description": written["extends"]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _define_stages(definitions: dict[str, Any]) -> dict[str, str]:
    """Add the schema of each kind of stage to ``definitions``, and return the places by kind."""
    del definitions["StageSpec"]
    for name in stages.names():
        kind = find_kind(name)
        schema = kind.schema.model_json_schema(by_alias=True)
        definitions |= schema.pop("$defs", {})
        properties = schema["properties"] | {"kind": {"const": name, "description": kind.summary}}
        for field, value in kind.defaults.items():
            properties[field] = properties[field] | ({} if isinstance(value, Mapping) else {"default": value})
        definitions[f"stage-{name}"] = schema | {"title": name, "properties": properties}
    return {name: f"#/$defs/stage-{name}" for name in stages.names()}


def find_models_in(annotation: Any) -> list[type[BaseModel]]:
    """List the models inside an annotation: through containers, unions and Annotated."""
    if get_origin(annotation) in (dict, tuple, Union, UnionType, Annotated):
        return [model for part in get_args(annotation) for model in find_models_in(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _fields(model: type[BaseModel], place: tuple[str, ...], values: Mapping[str, Any] | None = None) -> Iterator[Field]:
    """``values``: the defaults of this place, where the table above sets them."""
    for name, info in model.model_fields.items():
        path = (*place, info.alias or name)
        default = (values or {}).get(path[-1], info.default)
        inner = find_models_in(info.annotation)
        leaf = not inner or Weight in inner
        yield Field(
            path=".".join(path),
            type=_type_name(_find_input_type(info), info.metadata),
            default=_written(default) if leaf or default is PydanticUndefined else "",
            description=_plain(info.description),
        )
        if leaf:
            continue
        if path == ("stages",):
            for kind in stages.names():
                found = find_kind(kind)
                yield Field(path=f"stages.{kind}", type="table", default="", description=found.summary)
                yield from _fields(found.schema, ("stages", kind), found.defaults)
            continue
        below = (*path, ANY_NAME) if get_origin(info.annotation) is dict else path
        for table in inner:
            yield from _fields(table, below, _values(info.default) | _values(default))


def _values(table: Any) -> dict[str, Any]:
    """Return what a table's fields are by their names in a recipe; nothing of what is no table."""
    if isinstance(table, BaseModel):
        return {info.alias or name: getattr(table, name) for name, info in type(table).model_fields.items()}
    return dict(table) if isinstance(table, Mapping) else {}


def _find_input_type(info: FieldInfo) -> Any:
    """Return what a recipe may say, where the field then holds something else."""
    read = (entry.json_schema_input_type for entry in info.metadata if isinstance(entry, BeforeValidator))
    return next((kind for kind in read if kind is not PydanticUndefined), info.annotation)


def _type_name(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(inner[0], _bounds(inner[1:]))
    if Weight in find_models_in(annotation) and origin is not dict:
        return "number or table"
    if origin is Literal:
        return " | ".join(map(str, inner))
    if origin in (Union, UnionType):
        if find_models_in(annotation):
            return "table"
        return " or ".join(_type_name(part) for part in inner if part is not NoneType)
    if origin is tuple:
        each = " and ".join(dict.fromkeys(_type_name(part) for part in inner if part is not Ellipsis))
        return "array of tables" if each == "table" else f"array of {each}"
    if origin is dict or find_models_in(annotation):
        return "table"
    if names := names_of(metadata):
        builtin = names.registry.builtin
        return " | ".join((*(builtin if len(builtin) <= MOST_LISTED else ["name"]), "reference"))
    bounds = [(SIGNS[type(bound)], bound) for bound in _bounds(metadata)]
    signs = [f"{sign} {getattr(bound, name)}".removesuffix(".0") for (sign, name), bound in bounds]
    return " ".join([WORDS[annotation], ", ".join(signs)]).strip()


def _bounds(metadata: Sequence[Any]) -> list[Any]:
    """Single bounds, also those that pydantic's Field still holds together."""
    flat = [part for entry in metadata for part in (entry.metadata if isinstance(entry, FieldInfo) else [entry])]
    return [entry for entry in flat if type(entry) in SIGNS]


def _written(value: Any) -> str:
    if value is PydanticUndefined:
        return REQUIRED
    if isinstance(value, Weight):
        return f"{value.weight:g}"
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("``", "").split())


def _is_at(path: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a path is the wanted one, but for the names that a recipe gives."""
    if len(path) != len(wanted):
        return False
    own = path[0] == "stages" and len(wanted) > 1 and wanted[1] not in stages.names()
    return all(
        have in (want, ANY_NAME) or (own and place == 1)
        for place, (have, want) in enumerate(zip(path, wanted, strict=True))
    )


def _is_in(path: Sequence[str], table: Sequence[str]) -> bool:
    """Whether a field stands directly in a table; a name that the recipe gives is no step of its own."""
    rest = list(path[len(table) :])
    return list(path[: len(table)]) == list(table) and (len(rest) == 1 or (len(rest) == 2 and rest[0] == ANY_NAME))


def _as_written(schema: Any) -> Any:
    """With what the loader takes beside pydantic's tables: a number as a weight, a name as a task."""
    if isinstance(schema, list):
        return [_as_written(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    shorter = {"#/$defs/Weight": "number", "#/$defs/TaskSpec": "string"}.get(str(schema.get("$ref")))
    found = {
        key: _plain(value) if key == "description" and isinstance(value, str) else _as_written(value)
        for key, value in schema.items()
    }
    if shorter is None:
        return found
    return {"anyOf": [{"type": shorter}, {"$ref": found.pop("$ref")}], **found}
