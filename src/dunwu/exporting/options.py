"""What an export can be asked for. It is checked before torch is loaded, and long before a model opens."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from dunwu.config.schema import is_server
from dunwu.errors import NotInstalled, UserError, did_you_mean
from dunwu.models.gguf.writing import ENCODINGS

Form = Literal["hf", "gguf", "ollama"]
EXPORTS: Final = Path("exports")
EXACT: Final = "f32"
"""The type of a file where none is asked for: what it answers is what was measured."""
FOLDER_ENCODINGS: Final = ("f32", "f16", "bf16")
"""Types that a folder can have."""
RUNTIME, EXTRA = "xllamacpp", "llamacpp"


class Target(NamedTuple):
    """What is written.

    Attributes:
        path: The folder or the file.
        encoding: The type of the weights; None: as they are.
    """

    path: Path
    encoding: str | None


def check_options(name: str, form: str, out: Path | str | None, encoding: str | None, *, check: bool) -> Target:
    """Make sure that an export can be made as it is asked for, as far as the model need not be known for that.

    Args:
        name: The model, as the user named it.
        form: A name among ``Form``.
        out: The folder or the file; None: a name of the model's own in ``EXPORTS``.
        encoding: The type of the weights; None: as they are in a folder, ``EXACT`` in a file.
        check: The file is to be compared with the model.

    Returns:
        What is written.

    Raises:
        UserError: A name is wrong, two options do not go together, something is there already, or a package is
            missing.
    """
    if form not in get_args(Form):
        raise UserError(f"{form!r:.40} is none of {', '.join(get_args(Form))}", field="--to")
    if encoding is not None and encoding not in ENCODINGS:
        hint = did_you_mean(encoding, ENCODINGS)
        raise UserError(f"no type {encoding!r:.40}; there are {', '.join(ENCODINGS)}{hint}", field="--type")
    if form == "hf" and encoding not in (None, *FOLDER_ENCODINGS):
        raise UserError(f"{encoding} is no type of a folder; {', '.join(FOLDER_ENCODINGS)} are", field="--type")
    if form == "hf" and check:
        raise UserError("llama.cpp reads no folder: check a gguf or an ollama export", field="--check")
    if is_server(name):
        raise UserError("a model behind a server cannot be exported", file=name)
    if form != "hf" and find_spec("gguf") is None:
        raise NotInstalled("gguf", "gguf", field="--to")
    if check:
        require_runtime()
    chosen = encoding if form == "hf" else encoding or EXACT
    path = Path(out) if out is not None else EXPORTS / _title(name, form, chosen)
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except OSError as error:  # a name that is too long, or a file in the place of a folder
        raise UserError(str(error.strerror).lower(), file=path, field="--out") from None
    else:
        what = "is there already" if path.exists() else "is a symbolic link to nothing"
        raise UserError(f"{what}: remove it, or name another", file=path, field="--out")
    return Target(path, chosen)


def require_runtime() -> str:
    """Return the runtime's name with its version.

    Raises:
        NotInstalled: It is not there.
    """
    try:
        return f"{RUNTIME} {version(RUNTIME)}"
    except PackageNotFoundError:
        raise NotInstalled(RUNTIME, EXTRA, field="--check") from None


def _title(name: str, form: str, encoding: str | None) -> str:
    """Return the name of an export: ``demo-f32.gguf``, ``demo-hf``, ``demo-ollama``."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name.rstrip("/")).name.removesuffix(".gguf")) or "model"
    return f"{stem}-{encoding}.gguf" if form == "gguf" else f"{stem}-{form}"
