"""A model for Ollama: its GGUF file, and a Modelfile that asks it as it was trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dunwu.exporting.gguf_file import list_sampling, write_gguf
from dunwu.exporting.go_template import make_go_template
from dunwu.exporting.sources import ExportedModel
from dunwu.runs.atomic import atomic_directory

MODEL_FILE: Final = "model.gguf"
MODELFILE: Final = "Modelfile"
NAMES: Final = {
    "temp": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "penalty_repeat": "repeat_penalty",
}
"""What Ollama calls the parameters of sampling."""


def write_ollama(model: ExportedModel, folder: Path, encoding: str) -> None:
    """Write a folder for ``ollama create``. A folder of that name is replaced when the new one is whole.

    Args:
        model: The model.
        folder: Where to.
        encoding: See ``write_gguf``.

    Raises:
        UserError: See ``write_gguf`` and ``make_go_template``.
        Fault: The file system refuses.
    """
    modelfile = "\n".join([*_list_lines(model), ""])

    def write(place: Path) -> None:
        write_gguf(model, place / MODEL_FILE, encoding)
        (place / MODELFILE).write_text(modelfile, encoding="utf-8")

    atomic_directory(folder, write)


def _list_lines(model: ExportedModel) -> Iterator[str]:
    """Yield the lines of a Modelfile. Ollama's own defaults were not measured, so each parameter is said."""
    yield f"FROM ./{MODEL_FILE}"
    template = make_go_template(model)
    yield f'TEMPLATE """{"{{ .Prompt }}" if template is None else template}"""'
    neutral = {"temp": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "penalty_repeat": 1.0}
    for name, value in (neutral | dict(list_sampling(model))).items():
        yield f"PARAMETER {NAMES[name]} {value:g}"
    for text in dict.fromkeys([*model.tokenizer.convert_ids_to_tokens(list(model.ends)), *model.source.stop]):
        quotes = '"""' if '"' in text or "\n" in text else '"'
        yield f"PARAMETER stop {quotes}{text}{quotes}"
    if model.source.positions:
        yield f"PARAMETER num_ctx {model.source.positions}"
    yield f"PARAMETER num_predict {model.generation.get('max_new_tokens', -1)}"
