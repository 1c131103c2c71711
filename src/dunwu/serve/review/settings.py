"""Settings out of TOML files; whatever is wrong with one becomes a line that names file and field."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dunwu.config.fields import find_models_in
from dunwu.errors import UserError, did_you_mean

Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(path: Path, kind: type[Settings]) -> Settings:
    """Read and validate a TOML file.

    Args:
        path: The file.
        kind: What its tables are.

    Returns:
        The validated settings.

    Raises:
        UserError: The file cannot be read or is no TOML; a field is unknown, missing, of the wrong type or out of
            range.
    """
    return validate_settings(json.dumps(_read_tables(path), default=str), kind, path)


def validate_settings(text: str | bytes, kind: type[Settings], path: Path | None = None) -> Settings:
    """Validate tables that are written as JSON.

    Args:
        text: The tables.
        kind: What they are.
        path: The file that they come from, for errors.

    Returns:
        The validated settings.

    Raises:
        UserError: They are not as they should be.
    """
    try:
        return kind.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise _explain(error, kind, path) from None


def _read_tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rstrip(")").partition(" (at ")
        raise UserError(f"broken TOML: {reason}", file=path, field=place or None) from None
    except UnicodeDecodeError:
        raise UserError("is not UTF-8 text", file=path) from None
    except (RecursionError, ValueError) as error:  # tables nested thousands deep; integers of thousands of digits
        raise UserError(f"broken TOML: {error}", file=path) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from None


def _explain(error: ValidationError, kind: type[BaseModel], path: Path | None) -> UserError:
    """Say the first thing that is wrong, and how many more; a misspelt field is missing too, so that comes last."""
    issues = sorted(error.errors(include_url=False), key=lambda issue: issue["type"] == "missing")
    first = issues[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    if first["type"] == "missing":
        message = "is missing"
    elif first["type"] == "extra_forbidden":
        message = f"unknown field{did_you_mean(place[-1], _name_fields(kind, place[:-1]))}"
    elif first["type"] == "literal_error":
        given, known = str(first["input"]), first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        message = f"must be {first['ctx']['expected']}, not {given!r:.60}{did_you_mean(given, known)}"
    elif first["type"] == "string_pattern_mismatch":
        message = f"does not have the right form: {first['input']!r:.60}"
    else:
        message = first["msg"].replace("Input should be", "must be").replace("an object", "a table")
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    return UserError(message + more, file=path, field=".".join(place) or None)


def _name_fields(kind: type[BaseModel], place: Sequence[str]) -> list[str]:
    """Return the fields that the table at a place may have; a name that the file gives is no step."""
    models: list[type[BaseModel]] = [kind]
    for part in place:
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        models = [found for field in fields for found in find_models_in(field.annotation)] or models
    return [name for model in models for name in model.model_fields]
