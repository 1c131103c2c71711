"""Where a model lies: its folder, and the device that it works on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import torch

from dunwu.config.model_folder import check_folder
from dunwu.config.packaged import find_packaged
from dunwu.errors import UserError
from dunwu.models.gguf.cache import convert_gguf
from dunwu.models.gguf.source import find_gguf

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
Device = Literal["auto", "cpu", "cuda"]


def resolve(source: str) -> str:
    """Return a folder's path, or a hub id as it is. A model in a GGUF file gets its folder in the cache.

    Raises:
        UserError: ``source`` can be none of these; see ``check_folder`` and ``convert_gguf``.
    """
    folder = find_packaged(source) or Path(source).expanduser()
    if folder.is_dir():
        check_folder(folder)
        return str(folder)
    if (file := find_gguf(source)) is not None:
        return str(convert_gguf(file))
    if folder.exists():
        raise UserError("a model is a folder, a GGUF file or a hub id, and this is none of them", file=folder)
    if not HUB_ID.fullmatch(source):
        raise UserError("no such folder", file=source)
    return source


def find_device(device: Device | torch.device) -> torch.device:
    """Find the device that a recipe asks for.

    Raises:
        UserError: cuda is asked for, and torch sees none.
    """
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("cuda is asked for, and torch sees no CUDA device here", field="model.device")
    return torch.device(device)
