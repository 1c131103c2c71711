"""A recipe's tables as TOML text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def dump_toml(recipe: BaseModel) -> str:
    """Write a recipe as TOML that ``dunwu run`` reads, defaults left out."""
    return write_toml(recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True))


def write_toml(tree: Mapping[str, Any]) -> str:
    """Write a recipe's plain values as TOML that ``dunwu run`` reads: fields first, then a table for each stage."""
    lines = [f"{name} = {write_toml_value(value)}" for name, value in tree.items() if name != "stages"]
    for name, stage in tree["stages"].items():
        lines += ["", f"[stages.{name}]", *(f"{field} = {write_toml_value(value)}" for field, value in stage.items())]
    return "\n".join(lines) + "\n"


def write_toml_value(value: object) -> str:
    """Write one plain value, a table inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {write_toml_value(entry)}" for name, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(write_toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # what JSON leaves and TOML does not
