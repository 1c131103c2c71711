"""A recipe's tables as TOML text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_text(tree: Mapping[str, Any]) -> str:
    """Write a recipe's plain values as TOML that ``dunwu run`` reads: fields first, then a table for each stage."""
    lines = [f"{name} = {_value(value)}" for name, value in tree.items() if name != "stages"]
    for name, stage in tree["stages"].items():
        lines += ["", f"[stages.{name}]", *(f"{field} = {_value(value)}" for field, value in stage.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_value(entry)}" for name, entry in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # what JSON leaves and TOML does not
