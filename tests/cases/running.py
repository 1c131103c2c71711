"""From a case to the module of its area."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parents[3] / "shared" / "cases" / "handed.jsonl"

Case = Mapping[str, Any]


def check(case: Case) -> bool | None:
    """Whether the product does what the case expects; None where no module decides it."""
    module = f"tests.cases.{case['area']}"
    if find_spec(module) is None:
        return None
    decided: bool | None = import_module(module).check(case)
    return decided
