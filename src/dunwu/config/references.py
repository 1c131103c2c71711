"""Fields of a recipe that name an entry of a registry, or a function of the user's.

A field says so by ``Annotated[str, Names(registry.losses)]``. From this alone its name is checked, a plan looks into
the file behind it, and a stage that is resumed knows the file's hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel

from dunwu.registry import Registry, verifiers


@dataclass(frozen=True, slots=True)
class Names:
    """Marks a field that names an entry of a registry.

    Attributes:
        registry: Where the name is looked up.
        arguments: What the function is called with; empty: it need not be a function; None: whoever plans opens it.
    """

    registry: Registry
    arguments: tuple[str, ...] | None = None


class Reference(NamedTuple):
    """A field, what it says, and what it may say."""

    field: str
    name: str
    names: Names


def find_references(value: object, place: str = "") -> Iterator[Reference]:
    """Yield every field of a part of a recipe that names an entry of a registry.

    Args:
        value: A table, or what one of its fields holds.
        place: Where it stands, with a dot at its end.
    """
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            held, field = getattr(value, name), f"{place}{info.alias or name}"
            if names := names_of(info.metadata):
                yield Reference(field, held, names)
            yield from find_references(held, f"{field}.")
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from find_references(entry, f"{place}{name}.")
    elif isinstance(value, tuple):
        for number, entry in enumerate(value):
            yield from find_references(entry, f"{place}{number}.")


def load_references(value: object) -> None:
    """Load the functions of the user's that this process will call, so that what is none shows before any work.

    A plan has opened the tasks and kinds of stages; verifiers are loaded by their own processes.

    Raises:
        UserError: One cannot be loaded, or is no function; names the field.
    """
    for field, name, names in find_references(value):
        if names.arguments is not None and names.registry is not verifiers and name not in names.registry.builtin:
            names.registry.load_function(name, field)


def names_of(metadata: Any) -> Names | None:
    """Return the mark of a field among its metadata; None: it names no entry."""
    return next((entry for entry in metadata if isinstance(entry, Names)), None)
