"""What a stage depends on beside its own fields: models and files, by the hash of what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dunwu.config.references import find_references
from dunwu.config.schema import DataSpec, StageInputs, StageSpec, is_server
from dunwu.models.export import DOCUMENTS
from dunwu.models.gguf.cache import Listener, convert_gguf, hash_gguf
from dunwu.models.gguf.conversion import CONVERTER
from dunwu.models.gguf.header import read_header
from dunwu.models.gguf.source import describe_origin, find_gguf
from dunwu.models.places import resolve
from dunwu.registry import rewards
from dunwu.runs.fingerprints import compute_fingerprint


def convert_models(stage: StageSpec, listener: Listener) -> dict[str, dict[str, Any]]:
    """Dequantise the models of a stage that lie in GGUF files.

    Args:
        stage: the recipe's.
        listener: hears of each conversion; one that is in the cache takes no time.

    Returns:
        Where each comes from, by its name in the recipe; see ``describe_origin``.

    Raises:
        UserError: a file is not there, or holds no model that is read.
    """
    files = {model.source: find_gguf(model.source) for model in stage.inputs.models if not is_server(model.source)}
    found = {source: file for source, file in files.items() if file is not None}
    for file in found.values():
        convert_gguf(file, listener)
    return {source: describe_origin(source, read_header(file)) for source, file in found.items()}


def hash_inputs(
    stage: StageSpec, data: Mapping[str, DataSpec], model: Callable[[str], str], left_out: Set[str]
) -> dict[str, str]:
    """Hash every input of a stage.

    Args:
        stage: the recipe's.
        data: the recipe's, and that of earlier stages.
        model: an earlier stage's name to its model's folder; any other source as it is.
        left_out: names of training texts that a benchmark has too, see ``pipeline.decontamination``.

    Returns:
        The hash of each by its name in the recipe; a hub id or a server stands for itself.

    Raises:
        UserError: an input is not there.
    """
    inputs = stage.inputs
    found = {str(path): compute_fingerprint(path) for path in (*_list_paths(stage), *_list_sources(stage))}
    for name in inputs.data:
        spec = data[name]
        content = "generated" if spec.path is None else compute_fingerprint(spec.path)
        found[f"data.{name}"] = f"{content} {spec.model_dump_json(exclude={'path'}, exclude_defaults=True)}"
    if inputs.data or inputs.tasks:
        mine = sorted(text for text in left_out if _may_read(inputs, text))
        found["what is left out of the training texts"] = hashlib.sha256("\n".join(mine).encode()).hexdigest()[:16]
    for source in (one.source for one in inputs.models):
        if is_server(source):
            found[source] = source
            continue
        if (file := find_gguf(source)) is not None:
            found[source] = f"{hash_gguf(file)}, converter {CONVERTER}"
            continue
        place = Path(resolve(model(source)))
        found[source] = compute_fingerprint(place, ignored=DOCUMENTS) if place.is_dir() else source
    return found


def _may_read(inputs: StageInputs, text: str) -> bool:
    """Return whether a training text is of the stage's data (``source:row``), or may be of its tasks (no colon)."""
    source, colon, _ = text.partition(":")
    return source in inputs.data if colon else bool(inputs.tasks)


def _list_paths(value: object) -> Iterator[Path]:
    """Yield every path in a part of the recipe."""
    if isinstance(value, Path):
        yield value
        return
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _list_paths(getattr(value, name))
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _list_paths(entry)
    elif isinstance(value, tuple):
        for entry in value:
            yield from _list_paths(entry)


def _list_sources(stage: StageSpec) -> Iterator[Path]:
    """Yield the file behind everything of the user's that the stage names."""
    named = [(names.registry, name) for _, name, names in find_references(stage)]
    named += [(rewards, function.name) for function in stage.inputs.functions if function.file is None]
    yield from (file for registry, name in named if (file := registry.source_file(name)))
