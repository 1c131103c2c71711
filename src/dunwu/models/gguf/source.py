"""Which GGUF file a model's name or path stands for, and where that came from."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dunwu.config.packaged import PACKAGED_FILES, find_packaged_file

if TYPE_CHECKING:  # it brings numpy, and most models are no such file
    from dunwu.models.gguf.header import Header

SUFFIX = ".gguf"


def find_gguf(source: str) -> Path | None:
    """Find the GGUF file that ``from`` names; None where it names something else.

    Args:
        source: A name or path. What ends in ``.gguf`` is one, and so is an absolute path to any file: whoever reads it
            says if it is none. Other names are those of stages, packaged models and hubs, whatever files there are.

    Raises:
        UserError: The package of a named model is not installed.
    """
    if (packaged := find_packaged_file(source)) is not None:
        return packaged
    path = Path(source).expanduser()
    return path if path.suffix.lower() == SUFFIX or (path.is_absolute() and path.is_file()) else None


def describe_origin(source: str, header: Header) -> dict[str, Any]:
    """Say where a model came from, for the manifest of a run.

    Args:
        source: What the recipe calls it.
        header: That of its file.

    Returns:
        The file's name, its package with the version where it has one, the architecture, and how many tensors the file
        has of each type.
    """
    packaged = PACKAGED_FILES.get(source)
    installed = f"{packaged.package} {version(packaged.package)}" if packaged else None
    return {
        "file": header.path.name,
        "package": installed,
        "architecture": header.metadata.get("general.architecture"),
        "tensors": header.encodings,
    }
