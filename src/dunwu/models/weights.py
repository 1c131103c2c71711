"""New weights on their way from a trainer to engines: a description that travels, and where the numbers lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dunwu.runs.atomic import translate_errors

DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F64": "float64"}
"""What safetensors calls a type, and what torch does."""


class WeightSource(Protocol):
    """Where the numbers of an update lie: in memory or in a file; a collective can wear the same face."""

    def read(self) -> Iterable[Tensor]:
        """Return the tensors in the order of the update's names; may be called again."""


class Parameter(Protocol):
    """What is known of an engine's parameter, wherever it lies."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The parameter's, with leading dimensions where it is spread."""

    def data_ptr(self) -> int:
        """Return the address; tied parameters have the same."""


class Place(Parameter, Protocol):
    """Where an engine keeps a parameter: a tensor, or what takes new weights as one does."""

    def copy_(self, source: Tensor, /) -> object:
        """Take new numbers."""


@dataclass(frozen=True, slots=True)
class MemorySource:
    """Tensors of this process. They may be the trainer's own: read them before its next step."""

    tensors: tuple[Tensor, ...]

    def read(self) -> Iterable[Tensor]:
        """See ``WeightSource``."""
        return self.tensors


@dataclass(frozen=True, slots=True)
class FileSource:
    """A safetensors file, on disk or in shared memory (``/dev/shm``), that other processes can read.

    Attributes:
        path: the file.
        version: that it was written for; a file of another one is not read.
        names: of its tensors, in the order of the update.
    """

    path: Path
    version: int
    names: tuple[str, ...]

    def read(self) -> Iterator[Tensor]:
        """See ``WeightSource``. A tensor is mapped when its turn comes.

        Raises:
            ValueError: the file was written for another version.
        """
        with safe_open(self.path, framework="pt") as file:
            written = (file.metadata() or {}).get("version")
            if written != str(self.version):
                raise ValueError(f"{self.path.name} holds version {written} of the weights, not {self.version}")
            for name in self.names:
                yield file.get_tensor(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightUpdate:
    """One version of the policy's weights.

    Names are those of transformers' ``state_dict``; a matrix that is tied to another may be left out. Shapes and types
    (``float32``, ``bfloat16``) are known before anything is read, so an engine can refuse an update while it still has
    its old weights.
    """

    version: int
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    source: WeightSource

    @classmethod
    def in_memory(cls, version: int, weights: Iterable[tuple[str, Tensor]]) -> WeightUpdate:
        """Describe tensors of this process.

        Args:
            version: of the policy, as completions will carry it.
            weights: name and tensor of each; they are not copied.
        """
        named = dict(weights)
        return cls(
            version=version,
            names=tuple(named),
            shapes=tuple(tuple(tensor.shape) for tensor in named.values()),
            dtypes=tuple(str(tensor.dtype).removeprefix("torch.") for tensor in named.values()),
            source=MemorySource(tuple(named.values())),
        )

    def read(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each name with its tensor."""
        yield from zip(self.names, self.source.read(), strict=True)


def store_update(update: WeightUpdate, folder: Path, name: str | None = None) -> WeightUpdate:
    """Write the numbers of an update into a file, which appears whole or not at all.

    Args:
        update: new weights, wherever they lie.
        folder: where the file goes; one of that name is replaced.
        name: the file's; None: ``version-000012.safetensors``.

    Returns:
        The same update, with the file as its source.

    Raises:
        Fault: the file system refuses.
    """
    path = folder / (name or f"version-{update.version:06d}.safetensors")
    temporary = folder / f".{path.name}.tmp-{os.getpid()}"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in update.read()}
    try:
        with translate_errors(path):
            save_file(tensors, temporary, metadata={"version": str(update.version)})
            temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return replace(update, source=FileSource(path, update.version, update.names))


def load_update(path: Path) -> WeightUpdate:
    """Describe the weights in a file that :func:`store_update` wrote; they are read when an engine takes them."""
    with safe_open(path, framework="pt") as file:
        version = int(file.metadata()["version"])
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  -- no dictionary
        return WeightUpdate(
            version=version,
            names=tuple(slices),
            shapes=tuple(tuple(part.get_shape()) for part in slices.values()),
            dtypes=tuple(DTYPES[part.get_dtype()] for part in slices.values()),
            source=FileSource(path, version, tuple(slices)),
        )


def check_update(update: WeightUpdate, parameters: Mapping[str, Parameter]) -> None:
    """Check an update against the tensors that it would fill, before anything is read.

    Args:
        update: the new weights.
        parameters: name -> what takes it; tied ones share theirs, and one name of them is enough.
            It may have leading dimensions of its own, over which the weight is spread.

    Raises:
        ValueError: the update has a name that is not there, another shape, or not all that is there.
    """
    for name, shape in zip(update.names, update.shapes, strict=True):
        if name not in parameters:
            raise ValueError(f"new weights hold {name}, which the model has not")
        wanted = tuple(parameters[name].shape)
        if wanted[len(wanted) - len(shape) :] != shape:
            raise ValueError(f"new weights hold {name} with the shape {list(shape)}, and the model's is {list(wanted)}")
    filled = {parameters[name].data_ptr() for name in update.names}
    missing = [name for name, parameter in parameters.items() if parameter.data_ptr() not in filled]
    if missing:
        raise ValueError(f"new weights lack {', '.join(missing[:3])}")
