"""The header of a GGUF file: metadata, and where each tensor lies. No weights are read.

The form is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A file comes from anywhere, so every
length is held against the size of the file before anything is made of it.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from dunwu.errors import NotInstalled, UserError
from dunwu.runs.file_signature import file_signature
from dunwu.runs.regular_files import require_regular

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
SCALARS: Final = dict(enumerate("BbHhIif?")) | dict(zip((10, 11, 12), "Qqd", strict=True))
"""The number that a value's type has in the file -> the letter that struct calls it by."""
STRING, ARRAY = 8, 9
MOST_DIMENSIONS: Final = 4
DEFAULT_ALIGNMENT: Final = 32
SMALLEST_ENTRY: Final = 12
"""Bytes that a metadata entry or a tensor has at least: by it an impossible count shows at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """Where a tensor lies, and how.

    Attributes:
        name: As llama.cpp calls it.
        shape: As torch has it, rows first.
        encoding: The name of its type, such as ``Q4_1``.
        start: First byte in the file.
        size: Bytes.
    """

    name: str
    shape: tuple[int, ...]
    encoding: str
    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a GGUF file says of itself."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]

    @property
    def encodings(self) -> dict[str, int]:
        """Count the tensors of each type, the commonest first."""
        return dict(Counter(tensor.encoding for tensor in self.tensors.values()).most_common())

    @property
    def chat_template(self) -> str | None:
        """Return the template that the file holds; None where it has none."""
        template = self.metadata.get("tokenizer.chat_template")
        return template if isinstance(template, str) else None

    def refuse(self, message: str, field: str | None = None) -> UserError:
        """Make the error that names the file."""
        return UserError(message, file=self.path, field=field)

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a number that the metadata must have, unless there is a default.

        Raises:
            UserError: It is missing or something else.
        """
        value = self.metadata.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.refuse("is missing" if value is None else f"is {value!r:.60}, not a whole number", key)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return a number that the metadata must have, unless there is a default.

        Raises:
            UserError: It is missing or something else.
        """
        value = self.metadata.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.refuse("is missing" if value is None else f"is {value!r:.60}, not a number", key)
        return float(value)


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file; again only when the file has changed.

    Raises:
        UserError: The package gguf is missing, or the file is no GGUF, cut off, damaged, or a part of several.
    """
    try:
        return _read(path, file_signature(path))
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", file=path) from error


@lru_cache(maxsize=4)
def _read(path: Path, _: str) -> Header:
    with require_regular(path).open("rb") as file:
        reader = _Reader(path, file)
        if (magic := file.read(len(MAGIC))) != MAGIC:
            raise UserError(f"is no GGUF file: it begins with {magic!r}", file=path)
        version, tensor_count, entry_count = reader.scalar("I"), reader.scalar("Q"), reader.scalar("Q")
        if version not in VERSIONS:
            raise UserError(f"is GGUF of version {version:#x}; little-endian 2 and 3 are read", file=path)
        reader.require(SMALLEST_ENTRY * (tensor_count + entry_count))
        metadata = {}
        for _entry in range(entry_count):
            key = reader.text()
            metadata[key] = reader.value(reader.scalar("I"))
        found = [reader.tensor() for _ in range(tensor_count)]
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise UserError(f"is {alignment!r:.40}", file=path, field="general.alignment")
        data_start = -(-file.tell() // alignment) * alignment
    parts = metadata.get("split.count", 1)
    if parts != 1:
        text = f"is one of {parts} parts of a model: join them first (llama-gguf-split --merge FIRST-PART WHOLE)"
        raise UserError(text, file=path)
    tensors = {stored.name: _place_tensor(path, stored, data_start) for stored in found}
    if len(tensors) < len(found):
        raise UserError("is damaged: two tensors have one name", file=path)
    end = max((tensor.start + tensor.size for tensor in tensors.values()), default=0)
    if end > reader.size:
        raise UserError(f"is cut off: it has {reader.size:,} bytes, and its weights end at {end:,}", file=path)
    return Header(path=path, metadata=metadata, tensors=tensors)


class _Stored(NamedTuple):
    """A tensor as the header has it: its type as a number, its offset from where all tensors begin."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def _place_tensor(path: Path, stored: _Stored, data_start: int) -> TensorInfo:
    """Find where a tensor lies, and how many bytes it has."""
    name, shape, kind, offset = stored
    try:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
    except ImportError:
        raise NotInstalled("gguf", "gguf", file=path) from None
    try:
        encoding = GGMLQuantizationType(kind)
    except ValueError:
        raise UserError(f"{name} has the type {kind}, which the package gguf does not know", file=path) from None
    values, size = GGML_QUANT_SIZES[encoding]
    if not shape or shape[-1] % values:
        raise UserError(f"is damaged: {name} has the shape {list(shape)} in blocks of {values}", file=path)
    return TensorInfo(
        name=name,
        shape=shape,
        encoding=encoding.name,
        start=data_start + offset,
        size=prod(shape) // values * size,
    )


class _Reader:
    """Reads values one after the other; a length that goes past the end of the file is an error before it is used."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self.size = os.fstat(file.fileno()).st_size

    def require(self, count: int) -> None:
        """Raise UserError where the file has fewer bytes left."""
        if count > self.size - self._file.tell():
            raise UserError("is cut off or damaged: its header goes past its end", file=self._path)

    def scalar(self, letter: str) -> Any:
        """Read a number."""
        return self._unpack(f"<{letter}")[0]

    def _unpack(self, form: str) -> tuple[Any, ...]:
        self.require(struct.calcsize(form))
        return struct.unpack(form, self._file.read(struct.calcsize(form)))

    def text(self) -> str:
        """Read a text."""
        length = self.scalar("Q")
        self.require(length)
        # Vocabularies hold texts that are not UTF-8; what they say in place of such bytes does not matter.
        return self._file.read(length).decode("utf-8", errors="replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        """Read a value of a type; an array becomes a list."""
        if kind == STRING:
            return self.text()
        if kind == ARRAY and not depth:
            inner, count = self.scalar("I"), self.scalar("Q")
            self.require(count)
            if inner in SCALARS:
                return list(self._unpack(f"<{count}{SCALARS[inner]}"))
            return [self.value(inner, depth + 1) for _ in range(count)]
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        raise UserError(f"is damaged: a value of type {kind}", file=self._path)

    def tensor(self) -> _Stored:
        """Read name, shape, type and offset of a tensor."""
        name, dimensions = self.text(), self.scalar("I")
        if dimensions > MOST_DIMENSIONS:
            raise UserError(f"is damaged: {name:.60} has {dimensions} dimensions", file=self._path)
        shape = self._unpack(f"<{dimensions}Q")
        return _Stored(name, tuple(reversed(shape)), self.scalar("I"), self.scalar("Q"))
