"""Tensors of a checkpoint: one safetensors file, or a folder with one from each rank; either is read in any layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from warnings import catch_warnings, simplefilter

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

SHARDING, OFFSETS = "DCP_SHARDING_INFO", "saved_offsets"
"""What a file says of its tensors: at which row of the whole one each begins."""


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors needs them: off the graph, contiguous, on the CPU.

    Args:
        tensors: by name.
        path: without its suffix.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(plain, path.with_suffix(".safetensors"))


def save_shards(tensors: Mapping[str, Tensor], folder: Path, *, rank: int, ranks: int) -> None:
    """Write what this rank holds of each tensor, as ``torch.distributed.checkpoint`` reads it in safetensors.

    Its own writers would do, but their bytes differ from one time to the next, and all but one write a pickle.

    Args:
        tensors: by name; those that every rank has whole are written once.
        folder: is made.
        rank: which rank this is.
        ranks: how many write.
    """
    own: dict[str, Tensor] = {}
    places: dict[str, dict[str, list[int]]] = {}
    for name, tensor in tensors.items():
        part, place = tensor, [0] * tensor.ndim
        if isinstance(tensor, DTensor):
            part = tensor.to_local()
            place[0] = rank * -(-len(tensor) // ranks)
        elif rank:
            continue
        if part.numel():
            own[name], places[name] = part.detach().cpu().contiguous(), {OFFSETS: place}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(own, folder / f"rank-{rank:05d}.safetensors", metadata={SHARDING: json.dumps(places, sort_keys=True)})


def has_tensors(path: Path) -> bool:
    """Return whether there is something that ``load_tensors`` reads."""
    return path.is_dir() or path.with_suffix(".safetensors").is_file()


def load_tensors(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read tensors, whoever wrote them; all ranks call it.

    Args:
        path: without a suffix.
        like: by the name, or by the part of it before the last ``/``, a tensor of the layout wanted where the shape is
            the same: a shard of it in each rank, or all of it. Others are read whole.
    """

    def find_layout(name: str, shape: torch.Size) -> Tensor | None:
        found = like.get(name, like.get(name.rpartition("/")[0]))
        return found if found is not None and found.shape == shape else None

    if path.is_dir():
        return _load_shards(path, find_layout)
    loaded = load_file(path.with_suffix(".safetensors"))
    return {name: lay_out(tensor, find_layout(name, tensor.shape)) for name, tensor in loaded.items()}


def lay_out(tensor: Tensor, like: Tensor | None) -> Tensor:
    """Return of a whole tensor what this rank holds, where another one lies in shards; else all of it."""
    if not isinstance(like, DTensor):
        return tensor
    # Every rank has all of it and takes its own part: nothing is sent.
    whole = tensor.to(like.device)
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def _load_shards(folder: Path, find_layout: Callable[[str, torch.Size], Tensor | None]) -> dict[str, Tensor]:
    from torch.distributed import is_initialized
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    state: dict[str, Tensor] = {}
    for name, stored in HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata.items():
        assert isinstance(stored, TensorStorageMetadata), "safetensors hold nothing else"
        layout = find_layout(name, stored.size)
        dtype = stored.properties.dtype
        state[name] = torch.empty(stored.size, dtype=dtype) if layout is None else torch.empty_like(layout, dtype=dtype)
    with catch_warnings():
        simplefilter("ignore", UserWarning)  # that one process alone reads is what is wanted
        load(state, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=not is_initialized())
    return state
