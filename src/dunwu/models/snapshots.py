"""What an engine needs of a model beside its weights, kept from the first time that transformers read it.

Most of the seconds before a first token go into importing transformers' models, building one, and comparing the engine
with it. A model of the Llama family that has passed this once leaves a snapshot, and is opened from it by who only
generates:

    CACHE/snapshots/KEY/snapshot.json     sizes, rotary frequencies, special tokens, chat template
    CACHE/snapshots/KEY/tokenizer.json    vocabulary and rules, as transformers had them

KEY names everything that could make it another: the folder's files and Dunwu's own by size and times, the versions of
what read them, the kernels, the type of the weights, and how long the sequences were that were compared. Weights are
read from the folder itself. An empty folder says that the model can have no snapshot. CACHE is
``cache_folder.find_cache``; all of it may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Annotated, Final

import torch
from pydantic import BaseModel, Field
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dunwu.kernels.builds import find_best_build, find_build
from dunwu.machine import Dtype
from dunwu.models.cache_folder import find_cache
from dunwu.models.fused_layers import can_fuse
from dunwu.models.llama_parts import LightConfig, LightModel, LlamaParts
from dunwu.models.policy import TYPES, Policy
from dunwu.models.saved_tokenizer import SavedTokenizer, TokenizerState, save_tokenizer
from dunwu.runs.atomic import atomic_directory, make_directory
from dunwu.runs.file_signature import file_signature

PACKAGE: Final = Path(__file__).parents[1]
MOST: Final = 32
"""Snapshots that are kept, those last used; each has a few megabytes."""
READERS: Final = ("torch", "transformers", "tokenizers", "safetensors")
FILE, TOKENIZER = "snapshot.json", "tokenizer.json"
NUMBERS = ("layers", "heads", "kv_heads", "width", "scale", "epsilon", "amplitude")
"""Of ``LlamaParts``, under the same names."""
Positive = Annotated[int, Field(ge=1)]
_saving = Lock()


class Snapshot(BaseModel):
    """What lies in ``snapshot.json``."""

    layers: Positive
    heads: Positive
    kv_heads: Positive
    width: Positive
    scale: float
    epsilon: float
    frequencies: list[float]
    amplitude: float
    tied: dict[str, str]
    """Names of weights that are another one's tensor."""
    max_position_embeddings: int | None
    eos_ids: tuple[int, ...]
    pad_id: int
    notes: tuple[str, ...]
    tokenizer: TokenizerState


def find_key(place: str, dtype: Dtype, longest: int) -> str | None:
    """Find the name under which a model's snapshot lies, if it can have one: a folder's, on a CPU with kernels.

    Args:
        place: A folder or a hub id.
        dtype: Of the weights in memory.
        longest: Tokens of the longest sequence that the engine is compared on.
    """
    folder, kernels = Path(place), find_best_build()
    if not kernels or not folder.is_dir():
        return None
    known = {
        "place": str(folder.absolute()),
        "files": _sign_files(folder, "*"),
        "dunwu": _sign_files(PACKAGE, "*.py"),
        "readers": {name: version(name) for name in READERS},
        "kernels": [kernels, file_signature(find_build(kernels) or folder)],
        "dtype": dtype,
        "longest": longest,
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]


def _sign_files(folder: Path, pattern: str) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_signature(path) for path in sorted(folder.rglob(pattern))}


def load_snapshot(place: str, key: str, dtype: Dtype) -> Policy | None:
    """Open a policy from its snapshot; None where there is none that can be read.

    Args:
        place: The model's folder.
        key: See ``find_key``.
        dtype: Of the weights in memory.
    """
    folder = _root() / key
    try:
        saved = Snapshot.model_validate_json((folder / FILE).read_bytes())
        tokenizer = SavedTokenizer(folder / TOKENIZER, saved.tokenizer)
        weights = dict(_read_weights(Path(place), dtype))
        weights |= {name: weights[other] for name, other in saved.tied.items()}
        os.utime(folder)
    except (OSError, ValueError, KeyError, SafetensorError):  # whatever is wrong, transformers reads the model again
        return None
    numbers = {name: getattr(saved, name) for name in NUMBERS}
    parts = LlamaParts(**numbers, frequencies=torch.tensor(saved.frequencies), weights=weights)
    model = LightModel(
        parts=parts, config=LightConfig(max_position_embeddings=saved.max_position_embeddings), dtype=TYPES[dtype]
    )
    return Policy(model=model, tokenizer=tokenizer, eos_ids=saved.eos_ids, pad_id=saved.pad_id, notes=saved.notes)


def save_snapshot(policy: Policy, place: str, key: str, dtype: Dtype) -> None:
    """Keep what ``load_snapshot`` reads, of a policy that transformers has read and an engine was compared with.

    Args:
        policy: The policy.
        place: The model's folder.
        key: See ``find_key``.
        dtype: Of the weights in memory.

    Raises:
        Exception: Whatever can be wrong with a cache. It saves seconds, so it is no reason to stop.
    """
    kept = _root() / key
    refused = kept.is_dir() and not (kept / FILE).exists()
    if refused or not can_fuse(policy.model):
        return
    parts = LlamaParts.of_model(policy.model)
    tied = _find_tied(parts.weights)
    alike = _is_what_files_say(parts.weights, tied, Path(place), dtype)

    def write(folder: Path) -> None:
        state = save_tokenizer(policy.tokenizer, folder / TOKENIZER) if alike else None
        if state is None:
            return
        snapshot = Snapshot(
            **{name: getattr(parts, name) for name in NUMBERS},
            frequencies=parts.frequencies.tolist(),
            tied=tied,
            max_position_embeddings=getattr(policy.model.config, "max_position_embeddings", None),
            eos_ids=policy.eos_ids,
            pad_id=policy.pad_id,
            notes=policy.notes,
            tokenizer=state,
        )
        (folder / FILE).write_text(snapshot.model_dump_json())

    make_directory(kept.parent)
    with _saving:  # two threads would fill one temporary folder
        atomic_directory(kept, write)
    _forget_old()


def _root() -> Path:
    return find_cache() / "snapshots"


def _read_weights(folder: Path, dtype: Dtype) -> Iterator[tuple[str, Tensor]]:
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as content:
            for name in content.keys():  # noqa: SIM118  -- it is no dictionary
                yield name, content.get_tensor(name).to(TYPES[dtype])


def _find_tied(weights: Mapping[str, Tensor]) -> dict[str, str]:
    first: dict[int, str] = {}
    return {name: first[place] for name, w in weights.items() if first.setdefault(place := w.data_ptr(), name) != name}


def _is_what_files_say(weights: Mapping[str, Tensor], tied: Mapping[str, str], folder: Path, dtype: Dtype) -> bool:
    """Tell whether the model's weights are those of the files under the same names; transformers may rename or join."""
    wanted = weights.keys() - tied.keys()
    for name, stored in _read_weights(folder, dtype):
        if name not in weights or not torch.equal(stored, weights[name]):
            return False
        wanted.discard(name)
    return not wanted


def _forget_old() -> None:
    whole = (folder for folder in _root().iterdir() if not folder.name.startswith("."))
    for folder in sorted(whole, key=lambda folder: folder.stat().st_mtime, reverse=True)[MOST:]:
        shutil.rmtree(folder, ignore_errors=True)
