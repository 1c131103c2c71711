"""Which parts of a JSON schema have no finite value: a node that must have a node would have to hold itself.

A value satisfies a group of parts at once: a part and those of its ``allOf``. A part of ``anyOf`` or ``oneOf`` begins a
group of its own, inside the group whose choice it is. A group has a finite value if all its clauses are met, and a
clause is met by one of its parts:

    $ref                  what it refers to
    anyOf, oneOf          one of the groups inside
    type                  one of the kinds of values that it leaves; of texts and numbers there are always finite ones

An object needs the properties that are required, a list its first items. A need stands in one part, and what has to
fill it in the same, another of the group, or one of a group around or inside. Each is a clause of the object or list.

No schema that has a finite value is found endless. The other way round two things are let pass: two choices of one part
are not combined, and two schemas of one property are filled apart from each other. What stands behind ``$ref`` does not
meet the needs beside it, but there the library itself refuses recursion.

Time is proportional to the schema, to how deep choices stand in choices, and to how many parts refer into nested
``allOf``. It has a bound (``MOST_WORK``): what needs more is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from itertools import islice
from typing import Any, Final

from dunwu.errors import UserError
from dunwu.serve.schema_parts import Part, Parts, as_dict, as_list, list_children

KINDS: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
HOLDING: Final = frozenset({"object", "array"})
"""Kinds of values that hold others."""
INSIDE: Final = ("properties", "patternProperties", "dependentSchemas")
ITEMS: Final = ("items", "prefixItems")
MOST_WORK: Final = 50_000
"""Parts of all groups and clauses together; a schema of 3,000 parts without entanglement has less than half of it."""
Slot = str | int | None
"""A property by its name, an item by its place, or any property at all."""
OTHERS: Final = -1
"""The slots that no part of a group names."""


def find_endless(parts: Parts) -> set[int]:
    """Find the parts without a finite value.

    Args:
        parts: of a schema.

    Returns:
        The ``id`` of each.

    Raises:
        UserError: its parts refer to each other in too many ways.
    """
    return _Search(parts).find_endless()


class _Group:
    """Parts that one value has to satisfy.

    Args:
        head: the part, with those of its ``allOf``.
        outer: the group whose choice it is; None where it stands for itself.

    Attributes:
        parts: all of them, the head first.
        around: the groups outside of it.
        kinds: of values that are left.
        needs: by kind, the slots that have to be filled.
        named: by kind and slot, clauses of what may fill it.
        others: by kind, clauses of what may fill any other slot.
    """

    def __init__(self, head: Part, outer: _Group | None) -> None:
        self.parts = [head]
        for part in self.parts:  # it grows
            self.parts += [one for one in as_list(part.get("allOf")) if isinstance(one, dict)]
        self.around: tuple[_Group, ...] = (outer, *outer.around) if outer else ()
        left = outer.kinds if outer else KINDS
        self.kinds: frozenset[str] = left.intersection(*map(_read_kinds, self.parts))
        self.needs: dict[str, set[Slot]] = {kind: set() for kind in HOLDING}
        self.named = {kind: defaultdict[Slot, list[list[Any]]](list) for kind in HOLDING}
        self.others: dict[str, list[list[Any]]] = {kind: [] for kind in HOLDING}
        for part in self.parts:
            self._add_object(part)
            self._add_list(part)

    def _add_object(self, part: Part) -> None:
        named, patterns = as_dict(part.get("properties")), as_dict(part.get("patternProperties"))
        others = True if patterns else part.get("additionalProperties", True)
        self.needs["object"] |= {name for name in as_list(part.get("required")) if isinstance(name, str)}
        if _read_least(part, "minProperties"):
            self.needs["object"].add(None)
        for name, one in named.items():
            self.named["object"][name].append([one])
        self.named["object"][None].append([*named.values(), *patterns.values(), others])
        self.others["object"].append([others])

    def _add_list(self, part: Part) -> None:
        items = part.get("items", True)
        first, others = (items, True) if isinstance(items, list) else (as_list(part.get("prefixItems")), items)
        self.needs["array"] |= set(range(min(_read_least(part, "minItems"), len(first) + 1)))
        for place, one in enumerate(first):
            self.named["array"][place].append([one])
        self.others["array"].append([others])


class _Search:
    """Clauses, and what meets them: groups, a group's values of a kind, and slots of a group."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._groups: list[_Group] = []
        self._standing: dict[int, _Group] = {}
        self._unmet: dict[Hashable, int] = {}
        self._owners: list[Hashable] = []
        self._clauses_of = defaultdict[Hashable, list[int]](list)
        self._work = 0

    def find_endless(self) -> set[int]:
        """See the module's."""
        self._stand(self._parts.root)
        for group in self._groups:  # it grows
            self._expand(group)
        finite = [node for node, count in self._unmet.items() if not count]
        met = [False] * len(self._owners)
        for node in finite:  # it grows
            for number in self._clauses_of[node]:
                if not met[number]:
                    met[number] = True
                    owner = self._owners[number]
                    self._unmet[owner] -= 1
                    if not self._unmet[owner]:
                        finite.append(owner)
        ids: dict[bool, set[int]] = {True: set(), False: set()}
        for group in self._groups:
            ids[self._unmet[group] == 0].update(map(id, group.parts))
        return ids[False] - ids[True]  # a part can be referred to where it stands beside others

    def _stand(self, schema: Any) -> Hashable:
        """Find the group of a part that stands for itself; a schema that is no object is ``false``, or anything."""
        if not isinstance(schema, dict):
            return schema is not False
        if id(schema) not in self._standing:
            self._standing[id(schema)] = self._open(schema, None)
        return self._standing[id(schema)]

    def _open(self, part: Part, outer: _Group | None) -> _Group:
        group = _Group(part, outer)
        self._count(len(group.parts))
        self._groups.append(group)
        self._unmet[group] = 0
        return group

    def _expand(self, group: _Group) -> None:
        """Add the clauses of a group, and open the groups of all that stands in it."""
        for part in group.parts:
            for child in list_children(part, INSIDE, ITEMS):
                self._stand(child)
        if any("const" in part or "enum" in part for part in group.parts):
            return
        for part in group.parts:
            self._add(group, [self._stand(self._parts.resolve(part))])
            for one in as_list(part.get("allOf")):
                self._add(group, [one is not False])
            for choices in (as_list(part.get("anyOf")), as_list(part.get("oneOf"))):
                if choices:
                    opened = (self._open(one, group) if isinstance(one, dict) else one is not False for one in choices)
                    self._add(group, list(opened))
        if group.kinds <= HOLDING:
            self._add(group, [self._hold(group, kind) for kind in group.kinds])

    def _hold(self, group: _Group, kind: str) -> Hashable:
        """Add the clauses of a group's objects, or of its lists."""
        node = (group, kind)
        if node in self._unmet:
            return node
        self._unmet[node] = 0
        self._meet(node, group, group)
        for outer in group.around:
            self._add(node, [self._hold(outer, kind)])
            self._meet(node, group, outer)
            self._meet(node, outer, group)
        return node

    def _meet(self, node: tuple[_Group, str], needing: _Group, having: _Group) -> None:
        """Add a clause for each need of one group that another has something for."""
        kind = node[1]
        needs, named = needing.needs[kind], having.named[kind]
        unnamed = islice((slot for slot in needs if slot not in named), 1)  # one is like the other
        for slot in (*(named.keys() & needs), *unnamed):
            self._add(node, [self._fill(having, kind, slot)])

    def _fill(self, group: _Group, kind: str, slot: Slot) -> Hashable:
        """Add the clauses of a slot: all parts that name it, or else all that say something of those without a name."""
        named = group.named[kind]
        node = (group, kind, slot if slot in named else OTHERS)
        if node not in self._unmet:
            self._unmet[node] = 0
            for clause in named[slot] if slot in named else group.others[kind]:
                self._add(node, [self._stand(one) for one in clause])
        return node

    def _add(self, node: Hashable, clause: list[Hashable]) -> None:
        """Add a clause; one with True in it is met, and one of nothing but False never is."""
        self._count(1 + len(clause))
        if True in clause:
            return
        self._unmet[node] += 1
        for one in clause:
            self._clauses_of[one].append(len(self._owners))
        self._owners.append(node)

    def _count(self, work: int) -> None:
        self._work += work
        if self._work > MOST_WORK:
            raise UserError("its parts refer to each other in too many ways")


def _read_kinds(part: Part) -> frozenset[str]:
    """Read the kinds of values that ``type`` leaves; what is not understood leaves all."""
    kind = part.get("type")
    named = kind if isinstance(kind, list) else [kind]
    if not all(isinstance(one, str) and one in KINDS for one in named):
        return KINDS
    return frozenset([*named, "integer"] if "number" in named else named)


def _read_least(part: Part, name: str) -> int:
    least = part.get(name)
    return max(0, least) if isinstance(least, int) else 0
