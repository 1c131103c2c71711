"""From a GGUF file to an ordinary transformers folder: config, tokenizer, and weights as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dunwu.models.gguf.architecture import Weight, build_config, count_rotated_heads, list_weights
from dunwu.models.gguf.header import Header
from dunwu.models.gguf.tensors import AS_THEY_ARE, read_tensor
from dunwu.models.gguf.tokenizer import build_tokenizer, list_ends

CONVERTER: Final = 1
"""Raised with whatever changes what is written: the cache then holds another folder for the same file."""
DEQUANTIZED: Final = "F32"
"""What quantised numbers become, so that nothing is rounded again."""
DTYPE_BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2}
Count = Callable[[int, int], None]
"""Hears how many tensors are written, and of how many."""


def write_folder(header: Header, folder: Path, count: Count) -> None:
    """Write the model of a GGUF file into an empty folder.

    Args:
        header: The file's.
        folder: Where to.
        count: See ``Count``.

    Raises:
        UserError: The file holds a model or a tokenizer of a kind that is not read, or is damaged.
    """
    config = build_config(header)
    build_tokenizer(header).save_pretrained(folder)
    _write_json(folder / "config.json", config)
    ends = {name: config[name] for name in ("bos_token_id", "pad_token_id") if config[name] is not None}
    _write_json(folder / "generation_config.json", {**ends, "eos_token_id": list_ends(header)})
    _write_weights(header, config, folder / "model.safetensors", count)


def measure_weights(header: Header) -> int:
    """Return the bytes that the weights take when they are written.

    Raises:
        UserError: See ``list_weights``.
    """
    return sum(entry.size for entry in _list_entries(header, build_config(header)))


class _Entry(NamedTuple):
    """A tensor, with its type and bytes when it is written."""

    weight: Weight
    dtype: str
    size: int


def _list_entries(header: Header, config: Mapping[str, Any]) -> list[_Entry]:
    """List the tensors as they are written, wide types first, so that each begins where its type may."""
    entries = []
    for weight in list_weights(header, config):
        encoding = header.tensors[weight.name].encoding
        dtype = encoding if encoding in AS_THEY_ARE else DEQUANTIZED
        entries.append(_Entry(weight, dtype, prod(weight.shape) * DTYPE_BYTES[dtype]))
    return sorted(entries, key=lambda entry: -DTYPE_BYTES[entry.dtype])


def _write_weights(header: Header, config: Mapping[str, Any], file: Path, count: Count) -> None:
    """Write all tensors, one in memory at a time: what saves a whole model would hold it."""
    entries = _list_entries(header, config)
    with file.open("xb") as out:
        out.write(_describe(entries))
        for done, (weight, _, _) in enumerate(entries, start=1):
            tensor = read_tensor(header, header.tensors[weight.name])
            if heads := count_rotated_heads(config, weight.name):
                tensor = _to_halves(tensor, heads)
            out.write(np.ascontiguousarray(tensor).data)
            count(done, len(entries))


def _describe(entries: list[_Entry]) -> bytes:
    """Return the head of a safetensors file: its length in 8 bytes, then JSON that says where each tensor lies."""
    described: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for weight, dtype, size in entries:
        start, end = end, end + size
        described[weight.renamed] = {"dtype": dtype, "shape": weight.shape, "data_offsets": [start, end]}
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _to_halves(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Put the rows of each head from pairs of neighbours into two halves: 0 1 2 3 becomes 0 2 1 3."""
    paired = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return paired.swapaxes(1, 2).reshape(rows.shape)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
