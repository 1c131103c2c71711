"""``dunwu export``: a model for other programs, and whether they get the same answers out of it."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dunwu.api.policy import Policy
from dunwu.api.run import Run
from dunwu.errors import Fault
from dunwu.exporting.check import ExportCheck, check_gguf
from dunwu.exporting.gguf_file import write_gguf
from dunwu.exporting.huggingface import write_folder
from dunwu.exporting.ollama import MODEL_FILE, write_ollama
from dunwu.exporting.options import EXACT, Form, check_options
from dunwu.exporting.sources import ExportedModel, open_model
from dunwu.models.gguf.cache import convert_source
from dunwu.monitoring.monitors import Log, open_monitor
from dunwu.monitoring.progress import Monitor
from dunwu.runs.atomic import atomic_remove, fsync, make_directory, remove_leftovers, translate_errors

UNCHECKED = ".unchecked"
"""Ends the name of what is being checked, and of what differed."""


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
    name = _name(model)
    path, chosen = check_options(name, to, out, encoding, check=check)
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
