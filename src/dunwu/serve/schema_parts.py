"""The parts of a JSON schema: where they stand, and what their references mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final
from urllib.parse import unquote

LONGEST_PLACE: Final = 9
"""Digits of a place in a list, at most."""
BEYOND: Final = 10**15
"""A multiple beyond which its digits say nothing more: it is too large."""
NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
SINGLE: Final = ("items", "additionalProperties", "additionalItems")

Part = dict[str, Any]
"""A schema that is an object."""


class Parts:
    """The parts of a schema that are objects; others are ``true`` and ``false``.

    Args:
        root: the schema. No object stands in it twice.

    Attributes:
        root: the schema.
        all: those that are objects.
        multiples: what its numbers are multiples of, as whole numbers.
    """

    def __init__(self, root: Any) -> None:
        self.root = root
        self._anchors: dict[str, Any] = {}
        self.all: list[Part] = []
        self.multiples: list[int] = []
        self._collect()

    def _collect(self) -> None:
        waiting, seen = [self.root], set[int]()
        while waiting:
            part = waiting.pop()
            if not isinstance(part, dict) or id(part) in seen:
                continue
            seen.add(id(part))
            self.all.append(part)
            for name in ("$anchor", "$dynamicAnchor"):
                if isinstance(part.get(name), str):
                    self._anchors["#" + part[name]] = part
            multiple = part.get("multipleOf")
            if isinstance(multiple, int | float) and not isinstance(multiple, bool) and 0 < multiple < math.inf:
                self.multiples.append(Fraction(str(multiple)).numerator if multiple < BEYOND else BEYOND)
            waiting += list_children(part)
            waiting.append(self.resolve(part))

    def resolve(self, part: Part) -> Any:
        """Find what ``$ref`` means.

        Args:
            part: of the schema.

        Returns:
            A part; True, which is anything, where there is no reference or it is the library's to refuse.
        """
        name = find_reference(part)
        if name is None:
            return True
        if isinstance(self.root, dict) and isinstance(base := self.root.get("$id"), str):
            name = name.removeprefix(base.rstrip("#"))
        if name in self._anchors:
            return self._anchors[name]
        found = self.root
        for step in name.removeprefix("#").split("/")[1:]:
            step = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdecimal() and int(step[:LONGEST_PLACE]) < len(found):
                found = found[int(step)]
            else:
                return True
        return found if name in ("", "#") or name.startswith("#/") else True


def find_reference(part: Part) -> str | None:
    """Find the name by which a part refers to another; None where it does not."""
    name = part.get("$ref", part.get("$dynamicRef"))
    return name if isinstance(name, str) else None


def list_children(part: Part, named: Sequence[str] = NAMED, listed: Sequence[str] = LISTED) -> Iterator[Any]:
    """Yield the schemas that stand in a part.

    Args:
        part: of a schema.
        named: keywords of several schemas by name.
        listed: keywords of several in a list.
    """
    for name in named:
        yield from as_dict(part.get(name)).values()
    for name in listed:
        yield from as_list(part.get(name))
    yield from (part.get(name) for name in SINGLE)


def as_list(value: Any) -> list[Any]:
    """Return a list as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_dict(value: Any) -> dict[str, Any]:
    """Return an object as it is, and an empty one for anything else."""
    return value if isinstance(value, dict) else {}
