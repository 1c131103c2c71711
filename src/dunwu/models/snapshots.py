"""What an engine needs of a model beside its weights, kept from the first time that transformers read it.

Most of the seconds before a first token go into importing transformers' models, building one, and comparing the engine
with it. A model of the Llama family that has passed this once leaves a snapshot, and is opened from it by who only
generates:

    CACHE/snapshots/KEY/snapshot.json     sizes, rotary frequencies, special tokens, chat template
    CACHE/snapshots/KEY/tokenizer.json    vocabulary and rules, as transformers had them

KEY names everything that could make it another: the folder's files by size and times, the versions of what read them,
the kernels, the type of the weights, and how long the sequences were that were compared. Weights are read from the
folder itself. CACHE is ``cache_folder.find_cache``; all of it may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dunwu.errors import Fault
from dunwu.kernels.library import find_library, name_kernels
from dunwu.models.cache_folder import find_cache
from dunwu.models.fused_layers import can_fuse
from dunwu.models.llama_parts import LlamaParts
from dunwu.models.policy import TYPES, Dtype, Policy
from dunwu.models.saved_tokenizer import SavedTokenizer, TokenizerState, save_tokenizer
from dunwu.runs.atomic import atomic_directory, make_directory
from dunwu.runs.file_signature import file_signature

FORMAT: Final = 1
MOST: Final = 32
"""Snapshots that are kept, the newest; each has a few megabytes."""
READERS: Final = ("dunwu", "torch", "transformers", "tokenizers", "safetensors")
FILE, TOKENIZER = "snapshot.json", "tokenizer.json"


class Snapshot(BaseModel):
    """What lies in ``snapshot.json``."""

    sizes: dict[str, int]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LightConfig:
    """What is asked of a model's config."""

    max_position_embeddings: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LightModel:
    """What an engine takes in the place of a model of transformers."""

    parts: LlamaParts
    config: LightConfig
    dtype: torch.dtype
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def parameters(self) -> Iterator[Tensor]:
        """Yield the weights, tied ones once."""
        yield from {tensor.data_ptr(): tensor for tensor in self.parts.weights.values()}.values()


def find_key(place: str, dtype: Dtype, longest: int) -> str | None:
    """Find the name under which a model's snapshot lies, if it can have one: a folder's, on a CPU with kernels.

    Args:
        place: A folder or a hub id.
        dtype: Of the weights in memory.
        longest: Tokens of the longest sequence that the engine is compared on.
    """
    folder, kernels = Path(place), name_kernels()
    if not kernels or not folder.is_dir():
        return None
    known = {
        "format": FORMAT,
        "place": str(folder.absolute()),
        "files": {path.name: file_signature(path) for path in sorted(folder.iterdir()) if path.is_file()},
        "readers": {name: version(name) for name in READERS},
        "kernels": [kernels, file_signature(find_library(kernels) or folder)],
        "dtype": dtype,
        "longest": longest,
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32]


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
    except (OSError, ValueError, KeyError, SafetensorError):  # whatever is wrong, transformers reads the model again
        return None
    parts = LlamaParts(
        **saved.sizes,
        scale=saved.scale,
        epsilon=saved.epsilon,
        frequencies=torch.tensor(saved.frequencies),
        amplitude=saved.amplitude,
        weights=weights,
    )
    model = LightModel(
        parts=parts, config=LightConfig(max_position_embeddings=saved.max_position_embeddings), dtype=TYPES[dtype]
    )
    return Policy(model=model, tokenizer=tokenizer, eos_ids=saved.eos_ids, pad_id=saved.pad_id, notes=saved.notes)


def save_snapshot(policy: Policy, place: str, key: str, dtype: Dtype) -> bool:
    """Keep what ``load_snapshot`` reads, of a policy that transformers has read and an engine was compared with.

    Args:
        policy: The policy.
        place: The model's folder.
        key: See ``find_key``.
        dtype: Of the weights in memory.

    Returns:
        Whether there is one now: weights and tokenizer of some models are not what their files say. An empty folder
        then says so the next time.
    """
    model, folder = policy.model, _root() / key
    refused = folder.is_dir() and not (folder / FILE).exists()
    if refused or not can_fuse(model):
        return False
    parts = LlamaParts.of_model(model)
    tied = _find_tied(parts.weights)
    alike = _is_what_files_say(parts.weights, tied, Path(place), dtype)

    def write(folder: Path) -> None:
        state = save_tokenizer(policy.tokenizer, folder / TOKENIZER) if alike else None
        if state is None:
            return
        snapshot = Snapshot(
            sizes={name: getattr(parts, name) for name in ("layers", "heads", "kv_heads", "width")},
            scale=parts.scale,
            epsilon=parts.epsilon,
            frequencies=parts.frequencies.tolist(),
            amplitude=parts.amplitude,
            tied=tied,
            max_position_embeddings=getattr(model.config, "max_position_embeddings", None),
            eos_ids=policy.eos_ids,
            pad_id=policy.pad_id,
            notes=policy.notes,
            tokenizer=state,
        )
        (folder / FILE).write_text(snapshot.model_dump_json())

    with suppress(Fault):  # it saves seconds, and a cache that cannot be written is no reason to stop
        make_directory(folder.parent)
        atomic_directory(folder, write)
        _forget_old()
    return (folder / FILE).exists()


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
    folders = sorted(_root().iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[MOST:]:
        shutil.rmtree(folder, ignore_errors=True)
