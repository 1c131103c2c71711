"""A model as a GGUF file, for llama.cpp and what is built on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import torch

from dunwu.config.model_folder import WEIGHTS
from dunwu.errors import NotInstalled, UserError
from dunwu.exporting.gguf_template import make_gguf_template
from dunwu.exporting.sources import ExportedModel, check_finite
from dunwu.models.gguf.architecture import expect_weights
from dunwu.models.gguf.vocabulary import Vocabulary, build_vocabulary, write_vocabulary
from dunwu.models.gguf.writing import (
    ENCODINGS,
    check_architecture,
    check_encoding,
    normalize_config,
    write_file,
    write_sizes,
)
from dunwu.runs.atomic import fsync, translate_errors

LEFT_OUT: Final = ("lm_head.weight",)
"""What a folder may hold though the model has no use for it: a head that is the embedding."""
QUANTIZATION_VERSION: Final = 2


def write_gguf(model: ExportedModel, path: Path, encoding: str) -> None:
    """Write a model as a GGUF file. A file of that name is replaced when the new one is whole.

    Args:
        model: The model.
        path: Of the file.
        encoding: Of its matrices, a name among ``ENCODINGS``.

    Raises:
        UserError: The package gguf is missing; the model, its tokenizer or the type cannot be written.
        Fault: The file system refuses.
    """
    try:
        from gguf import GGUFWriter
    except ImportError:
        raise NotInstalled("gguf", "gguf", field="--to") from None
    config = normalize_config(model.config)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        check_architecture(config)
        check_encoding(config, encoding)
        vocabulary = build_vocabulary(model.tokenizer, int(config["vocab_size"]))
        template = make_gguf_template(model, vocabulary.largest_number)
        with translate_errors(path), ExitStack() as opened:
            opened.callback(temporary.unlink, missing_ok=True)
            weights = _Weights(model.folder, config, opened)
            writer = GGUFWriter(temporary, config["model_type"])
            _write_metadata(writer, model, config, vocabulary, encoding)
            if template is not None:
                writer.add_chat_template(template)
            write_file(writer, config, encoding, weights.read)
            fsync(temporary)
            os.rename(temporary, path)
            fsync(path.parent)
    except UserError as error:
        raise UserError(error.message, file=error.file or model.name, field=error.field) from error.__cause__


def _write_metadata(
    writer: Any, model: ExportedModel, config: dict[str, Any], vocabulary: Vocabulary, encoding: str
) -> None:
    """Write all that stands before the weights but the chat template."""
    from gguf import LlamaFileType

    writer.add_name(model.folder.name if model.source.stage is None else model.name)
    writer.add_file_type(LlamaFileType[ENCODINGS[encoding].file])
    writer.add_quantization_version(QUANTIZATION_VERSION)
    write_sizes(writer, config)
    pad = model.tokenizer.pad_token_id
    rows = int(config["vocab_size"])
    write_vocabulary(
        writer, vocabulary, [end for end in model.ends if end < rows], pad if pad is None or pad < rows else None
    )
    for name, value in list_sampling(model):
        getattr(writer, f"add_sampling_{name}")(value)


def list_sampling(model: ExportedModel) -> Iterator[tuple[str, float | int]]:
    """Yield how answers are drawn, as llama.cpp takes it: programs have other defaults, which were not measured."""
    generation = model.generation
    if not generation.get("do_sample", False) and "temperature" not in generation:
        return
    yield "temp", float(generation.get("temperature", 1.0)) if generation.get("do_sample", True) else 0.0
    yield "top_p", float(generation.get("top_p", 1.0))
    yield "top_k", int(generation.get("top_k", 0))
    yield "min_p", float(generation.get("min_p") or 0.0)
    yield "penalty_repeat", float(generation.get("repetition_penalty", 1.0))


class _Weights:
    """The weights of a folder, read one at a time.

    Args:
        folder: Of transformers.
        config: See ``normalize_config``.
        opened: Closes the files.

    Raises:
        UserError: A weight is missing, or there is one that no model of this architecture has.
    """

    def __init__(self, folder: Path, config: dict[str, Any], opened: ExitStack) -> None:
        from safetensors import safe_open

        self._folder, self._homes = folder, dict[str, Any]()
        for file in sorted(folder.glob(WEIGHTS)):
            tensors = opened.enter_context(safe_open(file, framework="pt"))
            self._homes |= dict.fromkeys(tensors.keys(), tensors)
        shapes = {weight.renamed: weight.shape for weight in expect_weights(config)}
        if missing := shapes.keys() - self._homes.keys():
            raise UserError(f"has no weights {min(missing)}", file=folder)
        if unknown := self._homes.keys() - shapes.keys() - set(LEFT_OUT):
            raise UserError(f"has weights {min(unknown):.80}, which no GGUF file of its architecture has", file=folder)
        for name, shape in shapes.items():
            if (found := tuple(self._homes[name].get_slice(name).get_shape())) != shape:
                raise UserError(
                    f"has {name} with the shape {list(found)}, and by its config {list(shape)}", file=folder
                )

    def read(self, name: str) -> Any:
        """Return a weight in float32."""
        weight = self._homes[name].get_tensor(name)
        check_finite(name, weight, self._folder)
        return weight.to(torch.float32).numpy()
