"""How much a model folder may make this process build: no more than what its weights are for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from dunwu.errors import UserError

NUMBERS_PER_BYTE: Final = 8
"""Generous: weights of four bits have two numbers a byte, and tied ones count twice."""
PARTS_PER_TENSOR: Final = 8
LEAST_PARTS: Final = 4096
LARGEST_BUFFERS: Final = 1 << 31
"""Numbers in buffers, which no file holds: masks and tables of positions."""


@contextmanager
def bound_by_weights(place: str) -> Iterator[None]:
    """End the building of a model whose config describes far more than its folder holds. A hub id is not looked at.

    A config may have a zero too many, and nothing else keeps what it describes within bounds.

    Args:
        place: a folder, or a hub id.

    Raises:
        UserError: it does; the file is the folder's config.json.
    """
    files = sorted(Path(place).glob("*.safetensors"))
    if not files:
        yield
        return
    most_numbers = NUMBERS_PER_BYTE * sum(file.stat().st_size for file in files)
    most_parts = LEAST_PARTS
    for file in files:
        with safe_open(file, framework="pt") as opened:
            most_parts += PARTS_PER_TENSOR * len(opened.keys())
    counts = {"parameters": 0, "numbers": 0, "buffers": 0}

    def refuse() -> None:
        if counts["parameters"] > most_parts or counts["numbers"] > most_numbers or counts["buffers"] > LARGEST_BUFFERS:
            text = "describes a model many times as large as the weights beside it"
            raise UserError(text, file=Path(place) / "config.json")

    def count_parameter(module: nn.Module, name: str, parameter: Any) -> None:
        counts["parameters"] += 1
        counts["numbers"] += parameter.numel() if isinstance(parameter, Tensor) else 0
        refuse()

    def count_buffer(module: nn.Module, name: str, buffer: Any) -> None:
        counts["parameters"] += 1
        counts["buffers"] += buffer.numel() if isinstance(buffer, Tensor) else 0
        refuse()

    handles = [
        hooks.register_module_parameter_registration_hook(count_parameter),
        hooks.register_module_buffer_registration_hook(count_buffer),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
