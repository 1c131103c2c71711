"""What a JSON schema is refused for, or loses, before a grammar is made of it.

The library that compiles it takes no notice of recursion without an end: a node that must have a node has no finite
value, and a model would write until its tokens end. Such parts become ``false`` here, so that others can be chosen.

A part is finite when all its clauses are, and a clause when one of its parts is. Required properties are clauses of one
part each, and so are the parts of ``allOf``; those of ``anyOf`` are one clause. What is finite is found in time that is
proportional to the schema.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final
from urllib.parse import unquote

from dunwu.errors import UserError

DEEPEST: Final = 100
"""Levels of objects and lists in a schema."""
LARGEST_MULTIPLE: Final = 20_000
"""Of what all ``multipleOf`` in a schema divide: compiling takes time in proportion."""
BEYOND: Final = 10**15
"""A multiple beyond which its digits say nothing more: it is too large."""
MOST_PARTS: Final = 3000
"""Parts of a schema: compiling takes more than time in proportion."""
FIELD: Final = "response_format"
NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
SINGLE: Final = ("items", "additionalProperties", "additionalItems")
SETTINGS: Final = "x-guidance"
"""Where a schema could change how the library compiles it."""


def prepare_schema(schema: Any, field: str = FIELD) -> Any:
    """Return a schema without the parts that have no finite value.

    Args:
        schema: as it came.
        field: of the body in which it stands.

    Raises:
        UserError: it is nested too deep, its multiples are too large, or no finite answer satisfies it.
    """
    _check_depth(schema, field)
    if isinstance(schema, dict):
        schema = {key: value for key, value in schema.items() if key != SETTINGS}
    parts = _Parts(schema)
    if len(parts.all) > MOST_PARTS:
        raise UserError(f"it has {len(parts.all):,} parts, more than {MOST_PARTS:,}", field=field)
    if math.lcm(*parts.multiples) > LARGEST_MULTIPLE:
        raise UserError(f"its multipleOf are too large: together beyond {LARGEST_MULTIPLE:,}", field=field)
    endless = parts.find_endless()
    if id(schema) in endless:
        through = next((part["$ref"] for part in parts.all if id(part) in endless and "$ref" in part), None)
        why = "" if through is None else f": what $ref {through!r:.80} needs would have to hold itself"
        raise UserError(f"no finite answer satisfies it{why}", field=field)
    return _replace(schema, endless) if endless else schema


def _check_depth(value: Any, field: str) -> None:
    level = [value]
    for _ in range(DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [one for some in inner for one in some]
        if not level:
            return
    raise UserError(f"it is nested more than {DEEPEST} deep", field=field)


def _replace(value: Any, endless: set[int]) -> Any:
    """Copy a schema with ``false`` in the place of parts."""
    if id(value) in endless:
        return False
    if isinstance(value, dict):
        return {key: one if key in ("const", "enum") else _replace(one, endless) for key, one in value.items()}
    return [_replace(one, endless) for one in value] if isinstance(value, list) else value


class _Parts:
    """The parts of a schema that are objects; others are finite, and ``false`` is the library's to refuse.

    Attributes:
        all: those that are objects.
        multiples: what its numbers are multiples of, as whole numbers.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._anchors: dict[str, Any] = {}
        self.all: list[dict[str, Any]] = []
        self.multiples: list[int] = []
        self._collect()

    def _collect(self) -> None:
        waiting, seen = [self._root], set[int]()
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
            waiting += _list_children(part)
            waiting.append(self._resolve(part))

    def _resolve(self, part: dict[str, Any]) -> Any:
        """Find what ``$ref`` means; True, which is anything, where there is none or it is the library's to refuse."""
        name = part.get("$ref", part.get("$dynamicRef"))
        if not isinstance(name, str):
            return True
        if isinstance(self._root, dict) and isinstance(base := self._root.get("$id"), str):
            name = name.removeprefix(base.rstrip("#"))
        if name in self._anchors:
            return self._anchors[name]
        found = self._root
        for step in name.removeprefix("#").split("/")[1:]:
            step = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step in map(str, range(len(found))):
                found = found[int(step)]
            else:
                return True
        return found if name in ("", "#") or name.startswith("#/") else True

    def find_endless(self) -> set[int]:
        """Find the parts without a finite value, by ``id``."""
        unmet: dict[int, int] = {}
        owners: list[int] = []
        clauses_of = defaultdict[int, list[int]](list)
        for part in self.all:
            named = ([one for one in clause if one is not False] for clause in self._list_clauses(part))
            clauses = [clause for clause in named if clause and all(isinstance(one, dict) for one in clause)]
            unmet[id(part)] = len(clauses)
            for clause in clauses:
                for one in clause:
                    clauses_of[id(one)].append(len(owners))
                owners.append(id(part))
        finite = [key for key, count in unmet.items() if not count]
        met = [False] * len(owners)
        for key in finite:  # it grows
            for number in clauses_of[key]:
                if not met[number]:
                    met[number] = True
                    unmet[owners[number]] -= 1
                    if not unmet[owners[number]]:
                        finite.append(owners[number])
        return unmet.keys() - set(finite)

    def _list_clauses(self, part: dict[str, Any]) -> Iterator[list[Any]]:
        """Yield what a value of a part needs: of each list one. What is not understood needs nothing."""
        if "const" in part or "enum" in part:
            return
        yield [self._resolve(part)]
        for name in ("anyOf", "oneOf"):
            if isinstance(part.get(name), list) and part[name]:
                yield part[name]
        yield from ([one] for one in _as_list(part.get("allOf")))
        kind = part.get("type")
        if kind in ("object", ["object"]):
            yield from _list_required(part)
        if kind in ("array", ["array"]):
            yield from _list_first_items(part)


def _list_required(part: dict[str, Any]) -> Iterator[list[Any]]:
    properties = part.get("properties")
    named: dict[str, Any] = properties if isinstance(properties, dict) else {}
    patterns = part.get("patternProperties")
    others = True if patterns else part.get("additionalProperties", True)
    for name in _as_list(part.get("required")):
        if isinstance(name, str):
            yield [named.get(name, others)]
    least = part.get("minProperties")
    if isinstance(least, int) and least > 0:
        yield [*named.values(), *(patterns.values() if isinstance(patterns, dict) else ()), others]


def _list_first_items(part: dict[str, Any]) -> Iterator[list[Any]]:
    least = part.get("minItems")
    if not isinstance(least, int):
        return
    items = part.get("items", True)
    first, others = (items, True) if isinstance(items, list) else (_as_list(part.get("prefixItems")), items)
    yield from ([one] for one in first[: max(0, least)])
    if least > len(first):
        yield [others]


def _list_children(part: dict[str, Any]) -> Iterator[Any]:
    for name in NAMED:
        if isinstance(part.get(name), dict):
            yield from part[name].values()
    for name in LISTED:
        yield from _as_list(part.get(name))
    yield from (part.get(name) for name in SINGLE)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
