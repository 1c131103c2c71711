"""``dunwu export``: a model for other programs, and whether they get the same answers out of it."""

from __future__ import annotations

import os
import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from dunwu.api.policy import Policy
from dunwu.api.run import Run
from dunwu.errors import Fault, UserError, did_you_mean
from dunwu.exporting.check import ExportCheck, check_gguf, require_runtime
from dunwu.exporting.gguf_file import write_gguf
from dunwu.exporting.huggingface import write_folder
from dunwu.exporting.ollama import MODEL_FILE, write_ollama
from dunwu.exporting.sources import ExportedModel, open_model
from dunwu.models.gguf.cache import convert_source
from dunwu.models.gguf.writing import ENCODINGS
from dunwu.monitoring.monitors import Log, open_monitor
from dunwu.monitoring.progress import Monitor
from dunwu.runs.atomic import atomic_remove, fsync, make_directory, remove_leftovers, translate_errors

Form = Literal["hf", "gguf", "ollama"]
UNCHECKED = ".unchecked"
"""Ends the name of what is being checked, and of what differed."""
EXPORTS = Path("exports")
EXACT = "f32"
"""The type of a file where none is asked for: what it answers is what was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        path: The folder or the file.
        form: For which programs it is.
        encoding: The type of the weights; None: as they were.
        check: What the runtime made of it; None where it was not asked.
    """

    path: Path
    form: Form
    encoding: str | None
    check: ExportCheck | None


class ExportDiffers(Fault):
    """A runtime gets other answers out of an export than the model gives; ``exported`` has the comparison."""

    exported: Exported

    @classmethod
    def from_check(cls, exported: Exported) -> ExportDiffers:
        """Make the error of an export whose check found problems."""
        assert exported.check is not None
        error = cls(f"{exported.path}: {'; '.join(exported.check.problems)}")
        error.exported = exported
        return error


def export(
    model: Policy | Run | Path | str,
    to: Form = "gguf",
    out: Path | str | None = None,
    *,
    encoding: str | None = None,
    check: bool = False,
    log: Log = "rich",
    monitor: Monitor | None = None,
) -> Exported:
    """Write a model for other programs: whole, or not at all.

    Args:
        model: See ``dunwu.load``.
        to: ``hf``: a folder for transformers and vLLM, with a model card. ``gguf``: a file for llama.cpp.
            ``ollama``: a folder with such a file and a Modelfile.
        out: The folder or the file; None: a name of the model's own in ``exports``.
        encoding: The type of the weights: ``f32``, ``f16``, ``bf16``; of a GGUF file also ``q8_0`` and others. None:
            as they are in a folder, ``f32`` in a file.
        check: Load the file in llama.cpp, and compare it with the model. What is beyond its bounds is kept under a
            name that ends in ``.unchecked``.
        log: What is printed while it works.
        monitor: Takes what is said, in the place of what ``log`` names.

    Returns:
        What was written, and what the check found.

    Raises:
        UserError: The model, its tokenizer, the type or the name cannot be used, a weight is not finite, or a package
            is missing.
        ExportDiffers: The runtime gets other answers.
        Fault: The disk is full, or the runtime does not load the file.
    """
    if to not in get_args(Form):
        raise UserError(f"{to!r:.40} is none of {', '.join(get_args(Form))}", field="--to")
    if encoding is not None and encoding not in ENCODINGS:
        hint = did_you_mean(encoding, ENCODINGS)
        raise UserError(f"no type {encoding!r:.40}; there are {', '.join(ENCODINGS)}{hint}", field="--type")
    if check and to == "hf":
        raise UserError("llama.cpp reads no folder: check a gguf or an ollama export", field="--check")
    if check:
        require_runtime()
    name = _name(model)
    chosen = encoding if to == "hf" else encoding or EXACT
    path = Path(out) if out is not None else EXPORTS / _title(name, to, chosen)
    if os.path.lexists(path):
        what = "is there already" if path.exists() else "is a symbolic link to nothing"
        raise UserError(f"{what}: remove it, or name another", file=path, field="--out")
    with closing(monitor or open_monitor(log)) as shown:
        shown.show_activity("reading the model")
        opened = open_model(name)
        convert_source(opened.source.source, shown)
        make_directory(path.absolute().parent)
        place = path.with_name(path.name + UNCHECKED) if check else path
        atomic_remove(place)
        for written in (path, path.with_name(path.name + UNCHECKED)):
            remove_leftovers(written)
        shown.show_activity(f"writing {path.name}")
        _write(opened, to, place, chosen)
        if not check:
            return Exported(path=path, form=to, encoding=chosen, check=None)
        file = place / MODEL_FILE if to == "ollama" else place
        found = check_gguf(opened, file, chosen or EXACT, shown.show_activity)
    if found.problems:
        raise ExportDiffers.from_check(Exported(path=place, form=to, encoding=chosen, check=found))
    with translate_errors(path):
        os.rename(place, path)
        fsync(path.absolute().parent)
    return Exported(path=path, form=to, encoding=chosen, check=found)


def _write(model: ExportedModel, form: Form, path: Path, encoding: str | None) -> None:
    if form == "hf":
        write_folder(model, path, encoding)
    elif form == "gguf":
        write_gguf(model, path, encoding or EXACT)
    else:
        write_ollama(model, path, encoding or EXACT)


def _name(model: Policy | Run | Path | str) -> str:
    if isinstance(model, Policy):
        return model.source
    return str(model.directory) if isinstance(model, Run) else str(model)


def _title(name: str, form: Form, encoding: str | None) -> str:
    """Return the name of an export: ``demo-f32.gguf``, ``demo-hf``, ``demo-ollama``."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name.rstrip("/")).name.removesuffix(".gguf")) or "model"
    return f"{stem}-{encoding}.gguf" if form == "gguf" else f"{stem}-{form}"
