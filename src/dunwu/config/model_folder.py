"""What lies in a model folder, looked at before a library reads it: bounded in size and depth, and nothing is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dunwu.config.nesting import DEEPEST, is_too_deep
from dunwu.errors import UserError

WEIGHTS: Final = "*.safetensors"
PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
READ_ELSEWHERE: Final = ("tokenizer.json", "vocab.json")
"""Files of megabytes that the tokenizers library reads, under bounds of its own."""
READ: Final = (".json", ".safetensors", ".jinja", ".model", ".txt", ".tiktoken")
"""Kinds of files that libraries read in a model folder."""
LARGEST_JSON: Final = 64 << 20
LARGEST_VOCABULARY: Final = 512 << 20
COUNTS: Final = re.compile("layer|depth|block|head|expert|label")
MOST: Final = 1 << 20
"""Of what a config counts: libraries make lists as long before they look at the weights."""


def check_folder(folder: Path) -> None:
    """Make sure that a folder holds a model which can be read without trusting it.

    Raises:
        UserError: there is no config.json or no safetensors file, or a JSON file cannot be read within bounds.
    """
    _check_kinds(folder)
    if not (folder / "config.json").is_file():
        raise UserError("no config.json: this is no transformers model folder", file=folder)
    if not any(True for _ in folder.glob(WEIGHTS)):
        raise UserError(missing_weights(folder, "this folder"), file=folder)
    read_config(folder / "config.json")
    for path in sorted(folder.glob("*.json")):
        if path.name in READ_ELSEWHERE:
            _check_size(path, LARGEST_VOCABULARY)
        elif path.name != "config.json":
            read_json(path)


def _check_kinds(folder: Path) -> None:
    """Raise UserError where what a library would read is no file: of a pipe it would wait for ever."""
    for path in (*folder.iterdir(), *folder.glob("additional_chat_templates/*")):
        if path.suffix in READ and not path.is_file() and (path.exists() or not path.is_symlink()):
            raise UserError("is no file", file=path)


def missing_weights(folder: Path, called: str) -> str:
    """Say what is the matter with a folder that has no safetensors file; ``called`` is how the folder is named."""
    pickle = next((path.name for pattern in PICKLES for path in sorted(folder.glob(pattern))), None)
    if pickle is None:
        return f"no weights (*.safetensors) in {called}"
    return f"the weights in {called} are a pickle ({pickle}), which can run code: only *.safetensors are read here"


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.json.

    Raises:
        UserError: it is no JSON object, too large or too deep, or counts more layers or heads than any model has.
    """
    config = read_json(path)
    if not isinstance(config, dict):
        raise UserError("is no JSON object", file=path)
    for name, value in _numbers(config):
        if COUNTS.search(name) and value > MOST:
            raise UserError(f"more than {MOST:,} are more than any model has", file=path, field=name)
    return config


def read_json(path: Path) -> Any:
    """Read a JSON file of at most ``LARGEST_JSON`` bytes and ``DEEPEST`` levels.

    Raises:
        UserError: It is larger, deeper, no JSON, or cannot be read.
    """
    _check_size(path, LARGEST_JSON)
    try:
        found = json.loads(path.read_bytes())
    except RecursionError:
        raise UserError(f"is nested deeper than {DEEPEST} levels", file=path) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
    except ValueError as error:
        raise UserError(f"is no JSON: {error!s:.100}", file=path) from error
    if is_too_deep(found):
        raise UserError(f"is nested deeper than {DEEPEST} levels", file=path)
    return found


def _check_size(path: Path, most: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error
    if size > most:
        raise UserError(f"has {size >> 20:,} MiB, more than the {most >> 20} MiB that are read", file=path)


def _numbers(config: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield every number with its name, those of configs inside too."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value
