"""A model as an ordinary transformers folder: weights, tokenizer, chat template, generation config and a model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

from dunwu.config.model_folder import READ, WEIGHTS
from dunwu.errors import UserError
from dunwu.exporting.options import FOLDER_ENCODINGS
from dunwu.exporting.sources import ExportedModel, check_finite
from dunwu.models.export import CARD, GENERATION_CONFIG
from dunwu.models.shape import shape_from_config
from dunwu.models.templates import CHAT_TEMPLATE
from dunwu.runs.atomic import atomic_directory
from dunwu.version import __version__

DTYPES: Final = dict(zip(FOLDER_ENCODINGS, (torch.float32, torch.float16, torch.bfloat16), strict=True))
INDEX: Final = ".safetensors.index.json"
"""Ends the name of the file that says which weights lie in which file."""
PACKAGED_CARD: Final = "CARD.md"


def write_folder(model: ExportedModel, folder: Path, encoding: str | None) -> None:
    """Write a model as a folder. A folder of that name is replaced when the new one is whole.

    Args:
        model: The model.
        folder: Where to.
        encoding: Of the weights, a name among ``FOLDER_ENCODINGS``; None: as they are.

    Raises:
        UserError: The type cannot hold the weights, or one of them is not finite.
        Fault: The file system refuses.
    """

    def write(place: Path) -> None:
        _check_weights(model.folder)
        for file in sorted(model.folder.iterdir()):
            if file.suffix == ".safetensors" and encoding is not None:
                _cast(file, place / file.name, DTYPES[encoding])
            elif file.suffix in READ or file.name == CARD:
                shutil.copyfile(file, place / file.name)
            elif file.name == "additional_chat_templates":
                shutil.copytree(file, place / file.name)
        if encoding is not None:
            _write_dtype(place, DTYPES[encoding])
        if model.chat_template is not None and not (place / CHAT_TEMPLATE).exists():
            (place / CHAT_TEMPLATE).write_text(model.chat_template, encoding="utf-8")
        if not (place / GENERATION_CONFIG).exists():
            ends = list(model.ends)
            _write_json(place / GENERATION_CONFIG, {"eos_token_id": ends[0] if len(ends) == 1 else ends})
        if not (place / CARD).exists():
            (place / CARD).write_text(_write_card(model), encoding="utf-8")

    atomic_directory(folder, write)


def _check_weights(folder: Path) -> None:
    from safetensors import safe_open

    for file in sorted(folder.glob(WEIGHTS)):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no dict
                check_finite(name, tensors.get_tensor(name), file)


def _cast(source: Path, target: Path, dtype: torch.dtype) -> None:
    from safetensors.torch import load_file, save_file

    weights = {name: weight.to(dtype) for name, weight in load_file(source).items()}
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise UserError(f"{name} holds numbers that f16 cannot: take bf16 or f32", field="--type")
    save_file(weights, target, {"format": "pt"})


def _write_dtype(folder: Path, dtype: torch.dtype) -> None:
    """Say in a folder's config, and in the index of its weights, what type they have."""
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    _write_json(file, config | {"dtype": str(dtype).removeprefix("torch.")})
    for index in folder.glob(f"*{INDEX}"):
        content = json.loads(index.read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        _write_json(index, content | {"metadata": content.get("metadata", {}) | {"total_size": size}})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_card(model: ExportedModel) -> str:
    """Write what is known of a model that no run made, and no more."""
    packaged = model.folder / PACKAGED_CARD
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    lines = ["---", "library_name: transformers", "---", f"# {Path(model.name).name}", "", *_describe(model), ""]
    return "\n".join(lines)


def _describe(model: ExportedModel) -> Iterator[str]:
    yield f"Dunwu {__version__} wrote this folder from `{Path(model.name).name}`, and no run of Dunwu made the model."
    yield ""
    config, shape = model.config, shape_from_config(model.config)
    yield f"- architecture: {config['model_type']}"
    if shape is not None:
        yield f"- parameters: {shape.parameters:,} in {shape.layers} layers of {shape.hidden}"
        yield f"- positions: {shape.max_positions:,}; tokens: {shape.vocabulary:,}"
    yield f"- chat template: {'its own, in ' + CHAT_TEMPLATE if model.chat_template else 'none'}"
    yield "- data, scores and limits: not known here; what its makers say of it holds"
