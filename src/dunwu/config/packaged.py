"""The models that come with dunwu."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

NANO_BASE = "nano-base"
PACKAGED_MODELS: Mapping[str, str] = {NANO_BASE: "countdown-traces", "nano-world": "world"}
"""By name, with the corpus that each has read."""


def packaged(name: str) -> Path | None:
    """The folder of a model that comes with dunwu; None for any other name."""
    return Path(str(files("dunwu").joinpath("assets", name))) if name in PACKAGED_MODELS else None
