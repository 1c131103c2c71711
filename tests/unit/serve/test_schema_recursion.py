"""What has no finite value is found, wherever its needs stand; what has one, which is made here, is never refused."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from dunwu.errors import UserError
from dunwu.serve.schema_checks import prepare_schema
from dunwu.serve.schema_parts import Parts
from dunwu.serve.schema_recursion import _Search, find_endless

Schema = dict[str, Any]
SELF: Schema = {"$ref": "#"}
HAS_A: Schema = {"properties": {"a": SELF}}
WANTS_A: Schema = {"required": ["a"]}
OBJECT: Schema = {"type": "object"}
BOTH: Schema = {"type": ["object", "array"]}
NONE_IN_LIST: Schema = {"items": SELF, "minItems": 1}

ENDLESS: dict[str, Schema] = {
    "required in choices": {**OBJECT, **HAS_A, "anyOf": [WANTS_A, WANTS_A]},
    "required in one of": {**OBJECT, **HAS_A, "oneOf": [WANTS_A]},
    "required in all of": {**OBJECT, **HAS_A, "allOf": [WANTS_A]},
    "properties in choices": {**OBJECT, **WANTS_A, "anyOf": [HAS_A, HAS_A]},
    "properties in all of": {**OBJECT, **WANTS_A, "allOf": [HAS_A]},
    "one part of all has them, the other wants them": {**OBJECT, "allOf": [HAS_A, {"allOf": [WANTS_A]}]},
    "the type stands in a choice": {**HAS_A, **WANTS_A, "anyOf": [OBJECT]},
    "choices in choices": {**OBJECT, **HAS_A, "anyOf": [{"allOf": [{"oneOf": [WANTS_A]}]}]},
    "a choice in a choice has them": {**OBJECT, **WANTS_A, "anyOf": [{"anyOf": [HAS_A]}]},
    "all other properties": {**OBJECT, "additionalProperties": SELF, "anyOf": [WANTS_A, {"required": ["b"]}]},
    "all other properties of a choice": {**OBJECT, **WANTS_A, "anyOf": [{"additionalProperties": SELF}]},
    "any property": {**OBJECT, "additionalProperties": SELF, "anyOf": [{"minProperties": 1}]},
    "items of a choice": {"type": "array", "minItems": 1, "anyOf": [{"items": SELF}]},
    "items wanted by a choice": {"type": "array", "items": SELF, "anyOf": [{"minItems": 2}]},
    "the other choice is impossible": {
        **OBJECT,
        **HAS_A,
        "additionalProperties": False,
        "anyOf": [WANTS_A, {"required": ["b"]}, {"type": "string"}],
    },
    "objects and lists": {**BOTH, **HAS_A, **WANTS_A, **NONE_IN_LIST},
    "objects by themselves, lists by a choice": {**BOTH, **HAS_A, **WANTS_A, "anyOf": [NONE_IN_LIST]},
    "a list of one type": {"type": ["object"], **HAS_A, **WANTS_A},
}
FINITE: dict[str, Schema] = {
    "one choice wants nothing": {**OBJECT, **HAS_A, "anyOf": [WANTS_A, {}]},
    "one choice wants another": {**OBJECT, **HAS_A, "anyOf": [WANTS_A, {"required": ["b"]}]},
    "one choice has nothing": {**OBJECT, **WANTS_A, "anyOf": [HAS_A, {"properties": {"a": {"type": "null"}}}]},
    "a choice is no object": {**HAS_A, "anyOf": [{**OBJECT, **WANTS_A}, {"type": "null"}]},
    "a choice is a constant": {**OBJECT, **HAS_A, "anyOf": [WANTS_A, {"const": {}}]},
    "lists have an end": {**BOTH, **HAS_A, **WANTS_A, "items": SELF},
    "objects have an end": {**BOTH, **HAS_A, **NONE_IN_LIST},
    "or a text": {"type": ["object", "string"], **HAS_A, **WANTS_A},
    "numbers are whole or not": {"type": "number", "allOf": [{"type": "integer"}], **HAS_A, **WANTS_A},
    "no type": {**HAS_A, **WANTS_A},
    "a choice that is referred to by itself": {
        **OBJECT,
        "properties": {"a": {"$ref": "#/anyOf/0"}},
        "anyOf": [{"type": ["object", "null"], **WANTS_A}],
    },
}


@pytest.mark.parametrize("name", ENDLESS)
def test_needs_are_met_wherever_they_stand(name: str) -> None:
    with pytest.raises(UserError, match="no finite answer satisfies it: what \\$ref '#' needs"):
        prepare_schema(ENDLESS[name])
    assert prepare_schema({"anyOf": [ENDLESS[name], {"type": "null"}]})["anyOf"][1] == {"type": "null"}
    inside = json.loads(json.dumps(ENDLESS[name]).replace('"#"', '"#/$defs/it"'))
    optional = {**OBJECT, "$defs": {"it": inside}, "properties": {"const": {"$ref": "#/$defs/it"}}}
    assert prepare_schema(optional) == {**OBJECT, "$defs": {"it": False}, "properties": {"const": False}}


@pytest.mark.parametrize("name", FINITE)
def test_what_has_a_finite_value_is_taken(name: str) -> None:
    prepare_schema(FINITE[name])


def test_what_nothing_satisfies_without_a_reference_is_the_librarys_to_refuse() -> None:
    for schema in (
        {"type": "object", "allOf": [{"type": "null"}]},
        {**OBJECT, **WANTS_A, "additionalProperties": False},
    ):
        assert prepare_schema(schema) == schema


@pytest.mark.parametrize("needs_in_choices", [False, True])
def test_what_is_looked_at_grows_with_the_schema(needs_in_choices: bool) -> None:
    """Choices as many as needs, or as parts that could fill them, would make a square."""
    counts = []
    for size in (200, 400):
        names = [f"n{number}" for number in range(size)]
        wants, has = [{"required": [name, "a"]} for name in names], [{"properties": {"a": {**SELF}}} for _ in names]
        choices, together = (wants, has) if needs_in_choices else (has, wants)
        search = _Search(Parts({**OBJECT, "anyOf": choices, "allOf": together, "additionalProperties": {**SELF}}))
        search.find_endless()
        counts.append(len(search._owners))
    assert counts[1] <= 2 * counts[0]


def test_parts_that_refer_to_each_other_in_too_many_ways_are_refused() -> None:
    choices = {"anyOf": [{"$ref": "#/$defs/x"}] * 1000}
    chain: Any = choices
    for _ in range(40):
        chain = {"allOf": [chain]}
    steps = ["/".join(["#/$defs/chain", *["allOf/0"] * depth]) for depth in range(40)]
    schema = {
        "$defs": {"x": {"type": "null"}, "chain": chain},
        "type": "object",
        "properties": {f"n{number}": {"$ref": step} for number, step in enumerate(steps)},
    }
    with pytest.raises(UserError, match=r"^tools: its parts refer to each other in too many ways$"):
        prepare_schema(schema, "tools")


def test_a_schema_that_is_too_long_is_refused_before_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dunwu.serve.schema_checks.Parts", None)
    with pytest.raises(UserError, match=r"it has 300,\d{3} characters, more than 262,144"):
        prepare_schema({"const": "x" * 300_000})


NAMES = "ab"
DEFINED = "xyz"


class Maker:
    """Draws small schemas.

    Args:
        rng: what draws.
        strays: also what is let pass: two schemas of a property, needs beside ``$ref``, and choices beside choices.
    """

    def __init__(self, rng: random.Random, strays: bool) -> None:
        self.rng, self.strays, self.later = rng, strays, ""

    def draw(self) -> Schema:
        """Draw a schema with definitions."""
        defined = {}
        for number, name in enumerate(DEFINED):
            self.later = DEFINED[number + 1 :]
            defined[name] = self.draw_part(2)
        return {"$ref": f"#/$defs/{DEFINED[0]}", "$defs": defined}

    def draw_part(self, depth: int) -> Schema:
        """Draw one that stands for itself."""
        if self.rng.random() < 0.15:
            return {"type": self.rng.choice(["null", "integer"])}
        homes: list[Schema] = []
        root = self.draw_tree(depth, homes)
        for name in NAMES:
            for home in self.rng.sample(
                homes, min(len(homes), self.rng.choice((0, 1, 1, 2) if self.strays else (0, 1)))
            ):
                home.setdefault("properties", {})[name] = self.draw_leaf(depth)
        if self.rng.random() < 0.3:
            self.rng.choice(homes)["items"] = self.draw_leaf(depth)
        if self.rng.random() < 0.15 and (self.strays or all("properties" not in home for home in homes[1:])):
            homes[0]["additionalProperties"] = self.rng.choice([False, self.draw_leaf(depth)])
        return root

    def draw_tree(self, depth: int, homes: list[Schema], *, chooses: bool = True) -> Schema:
        """Draw types, needs and choices; whole groups have one choice, or none."""
        part: Schema = {}
        homes.append(part)
        if self.rng.random() < 0.7:
            part["type"] = self.rng.choice(["object", "object", "array", ["object", "array"], ["object", "null"]])
        part["required"] = [name for name in NAMES if self.rng.random() < 0.3]
        if self.rng.random() < 0.2:
            part["minItems"] = 1
        if self.rng.random() < 0.1:
            part["minProperties"] = 1
        keywords = self.rng.sample(["anyOf", "allOf"], self.rng.choice((0, 1, 2))) if depth else []
        for keyword in keywords if chooses else {"allOf"}.intersection(keywords):
            may = self.strays or keyword == "anyOf"
            part[keyword] = [self.draw_tree(depth - 1, homes, chooses=may) for _ in range(self.rng.choice((1, 2)))]
        if self.strays and self.later and self.rng.random() < 0.2:
            part["$ref"] = f"#/$defs/{self.rng.choice(self.later)}"  # later ones alone: no validator ends in a circle
        return part

    def draw_leaf(self, depth: int) -> Schema:
        """Draw what stands in a value, mostly by its name."""
        if depth and self.rng.random() < 0.2:
            return self.draw_part(depth - 1)
        return {"$ref": f"#/$defs/{self.rng.choice(DEFINED)}"}


Together = frozenset[str]
"""Schemas as JSON, that one value has to satisfy."""


class Builder:
    """Makes finite values, as plainly as can be: all ways are tried until no more is found."""

    def __init__(self, schema: Schema) -> None:
        self.defined, self.root = schema["$defs"], frozenset([json.dumps({"$ref": schema["$ref"]})])
        self.found: dict[Together, Any] = {}
        self.wanted: dict[Together, list[list[Schema]]] = {}

    def build(self) -> Any:
        """Make a value of the root; None where there is none, in a list where there is."""
        self.want(self.root)
        size = -1
        while size < len(self.found) + len(self.wanted):
            size = len(self.found) + len(self.wanted)
            for together in list(self.wanted):
                if together not in self.found:
                    for way in self.wanted[together]:
                        for value in self.try_way(way):
                            self.found[together] = value
        return [self.found[self.root]] if self.root in self.found else None

    def want(self, together: Together) -> None:
        """Note what is wanted, and the ways to it: for every choice one."""
        if together not in self.wanted:
            ways = product(*(self.list_ways(json.loads(one), ()) for one in together))
            self.wanted[together] = [[part for one in way for part in one] for way in ways]

    def list_ways(self, part: Schema | bool, passed: tuple[str, ...]) -> list[list[Schema]]:
        """List what has to be satisfied, choices made and references followed."""
        if isinstance(part, bool):
            return [[]] if part else []
        ways = [[part]]
        inner = [[one] for one in part.get("allOf", [])] + ([part["anyOf"]] if "anyOf" in part else [])
        if "$ref" in part:
            name = part["$ref"].split("/")[-1]
            if name in passed:
                return []
            passed, inner = (*passed, name), [*inner, [self.defined[name]]]
        for choices in inner:
            more = [way for one in choices for way in self.list_ways(one, passed)]
            ways = [way + other for way in ways for other in more]
        return ways

    def try_way(self, way: list[Schema]) -> Iterator[Any]:
        """Yield a value that satisfies all these parts, made of values that were found."""
        kinds = {"object", "array", "null", "integer"}
        for part in way:
            kind = part.get("type", list(kinds))
            kinds &= set(kind if isinstance(kind, list) else [kind])
        if simple := kinds & {"null", "integer"}:
            yield {"null": None, "integer": 7}[min(simple)]
        if "array" in kinds:
            least = max(part.get("minItems", 0) for part in way)
            if not least or (items := self.find([part.get("items", True) for part in way])):
                yield [items[0]] if least else []
        if "object" in kinds:
            required = {name for part in way for name in part.get("required", ())}
            least = max(part.get("minProperties", 0) for part in way)
            for names in [required] if required or not least else [{name} for name in (*NAMES, "other")]:
                values = {name: self.find(list_schemas(way, name)) for name in sorted(names)}
                if all(values.values()):
                    yield {name: value[0] for name, value in values.items()}

    def find(self, schemas: list[Any]) -> Any:
        """Return a known value of all these schemas in a list, and want one where none is known."""
        together = frozenset(json.dumps(one) for one in schemas if one is not True) or frozenset(['{"type": "null"}'])
        self.want(together)
        return [self.found[together]] if together in self.found else None


def list_schemas(way: list[Schema], name: str) -> list[Any]:
    return [part.get("properties", {}).get(name, part.get("additionalProperties", True)) for part in way]


def refuses(schema: Schema) -> bool:
    return id(schema) in find_endless(Parts(schema))


@pytest.mark.parametrize("strays", [False, True])
def test_small_schemas_are_refused_where_no_value_can_be_made(strays: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    rng, finite, endless, passed = random.Random(1), 0, 0, 0
    while finite + endless + passed < 2500:
        schema = Maker(rng, strays).draw()
        value = Builder(schema).build()
        if value is not None:
            jsonschema.Draft202012Validator(schema).validate(value[0])
            assert not refuses(schema), schema
            jsonschema.Draft202012Validator(prepare_schema(schema)).validate(value[0])
            finite += 1
        elif strays and not refuses(schema):
            passed += 1
        else:
            assert refuses(schema), schema
            endless += 1
    assert min(finite, endless) > 250
    assert passed < endless / 4
