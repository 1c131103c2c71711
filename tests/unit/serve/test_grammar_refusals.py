"""Forms that no answer can have, or that take too long, are refused with what is wrong; all others are kept exactly."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dunwu.errors import UserError
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.grammar import Grammars
from dunwu.serve.records import ChatRequest, Choice, Format
from dunwu.serve.schema_checks import DEEPEST, prepare_schema
from dunwu.serve.service import GenerationService
from dunwu.types import Message

Schema = dict[str, Any]
SELF: Schema = {"$ref": "#"}


@pytest.fixture(scope="module")
def grammars(model: ChatModel) -> Grammars:
    return Grammars(model.policy.tokenizer, model.policy.eos_ids, model.rows)


def needs(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


NODE = needs(a={"$ref": "#/$defs/node"})
ENDLESS: dict[str, Schema] = {
    "itself": SELF,
    "a definition that is itself": {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    "two that are each other": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        "$ref": "#/$defs/a",
    },
    "required": needs(a=SELF),
    "required of each other": {
        "$defs": {"a": needs(b={"$ref": "#/$defs/b"}), "b": needs(a={"$ref": "#/$defs/a"})},
        "$ref": "#/$defs/a",
    },
    "all choices": {"anyOf": [SELF, needs(a=SELF)]},
    "one of all": {"allOf": [SELF]},
    "items": {"type": "array", "items": SELF, "minItems": 1},
    "first items": {"type": "array", "prefixItems": [SELF], "minItems": 1},
    "values": {"type": "object", "additionalProperties": SELF, "minProperties": 1},
    "choices inside": needs(a={"anyOf": [SELF, {"type": "array", "items": SELF, "minItems": 1}]}),
    "by a name": {"$defs": {"a": {"$anchor": "A", **needs(b={"$ref": "#A"})}}, "$ref": "#A"},
    "by its own address": {"$id": "https://here", **needs(a={"$ref": "https://here#"})},
}
FINITE: dict[str, tuple[Schema, Any]] = {
    "or null": (needs(a={"anyOf": [SELF, {"type": "null"}]}), {"a": None}),
    "items": ({"type": "array", "items": SELF}, []),
    "choice": ({"$defs": {"node": NODE}, "anyOf": [{"$ref": "#/$defs/node"}, {"const": 7}]}, 7),
    "optional": (
        {"$defs": {"node": NODE}, "type": "object", "properties": {"x": {"$ref": "#/$defs/node"}}, "maxProperties": 0},
        {},
    ),
    "items of none": ({"$defs": {"node": NODE}, "type": "array", "items": {"$ref": "#/$defs/node"}}, []),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_recursion_without_an_end_is_refused(grammars: Grammars, name: str) -> None:
    with pytest.raises(UserError, match=r"no finite answer satisfies it: what \$ref '[^']*' needs"):
        grammars.compile(Format(kind="json_schema", value=ENDLESS[name]))


@pytest.mark.parametrize("name", FINITE)
def test_recursion_with_an_end_is_answered(service: GenerationService, name: str) -> None:
    schema, _ = FINITE[name]
    choice = answer(service, Format(kind="json_schema", value=schema))
    assert choice.finish == "stop"
    json.loads(choice.content)


def test_what_has_no_finite_value_is_no_choice(service: GenerationService) -> None:
    for name in ("choice", "optional", "items of none"):
        schema, only = FINITE[name]
        assert json.loads(answer(service, Format(kind="json_schema", value=schema)).content) == only
    assert prepare_schema(FINITE["choice"][0])["anyOf"] == [False, {"const": 7}]


def test_a_chain_of_a_thousand_definitions_is_followed_at_once() -> None:
    chain = {f"d{n}": needs(a={"$ref": f"#/$defs/d{n + 1}"}) for n in range(1000)}
    finite = {"$defs": chain | {"d1000": {"type": "null"}}, "$ref": "#/$defs/d0"}
    assert prepare_schema(finite) == finite
    with pytest.raises(UserError, match="no finite answer"):
        prepare_schema({"$defs": chain | {"d1000": {"$ref": "#/$defs/d0"}}, "$ref": "#/$defs/d0"})


def nest(depth: int) -> Any:
    found: Any = {"type": "integer"}
    for _ in range(depth):
        found = {"items": found}
    return found


REFUSED: dict[str, tuple[str, Any, str]] = {
    "10,000 levels": ("json_schema", nest(10_000), f"nested more than {DEEPEST} deep"),
    "10 MB": ("json_schema", {"enum": ["x" * 100] * 100_000}, "10,400,010 characters, more than 262,144"),
    "multiples": ("json_schema", {"type": "integer", "multipleOf": 1_000_003}, "multipleOf are too large"),
    "multiples together": ("json_schema", {"allOf": [{"multipleOf": 997}, {"multipleOf": 991}]}, "beyond 20,000"),
    "not a number": ("json_schema", {"const": float("nan")}, "a number that JSON has not"),
    "empty enum": ("json_schema", {"enum": []}, "anyOf is empty"),
    "lengths": ("json_schema", {"type": "string", "minLength": 3, "maxLength": 2}, "minLength (3) is greater"),
    "bounds": ("json_schema", {"type": "integer", "minimum": 3, "maximum": 2}, "minimum (3) is greater"),
    "required": (
        "json_schema",
        {"type": "object", "required": ["a"], "additionalProperties": False},
        "required property 'a' is unsatisfiable",
    ),
    "format": ("json_schema", {"type": "string", "format": "iri"}, "Unknown format: iri"),
    "keyword": ("json_schema", {"type": "array", "uniqueItems": True}, 'Unimplemented keys: ["uniqueItems"]'),
    "one of": ("json_schema", {"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf constraints are not"),
    "pattern in a schema": ("json_schema", {"type": "string", "pattern": "^(?=a)"}, "look-around"),
    "surrogate": ("json_schema", {"const": "\ud800"}, "a lone surrogate"),
    "surrogate choice": ("choice", ["\ud800"], "a lone surrogate"),
    "no choice": ("choice", [], "nothing to choose from"),
    "lookahead": ("regex", "(?=a)b", "the pattern (?=a)b: look-around, including look-ahead"),
    "lookbehind": ("regex", "(?<!a)b", "the pattern (?<!a)b: look-around"),
    "backreference": ("regex", r"(a)\1", r"the pattern (a)\1: backreferences are not supported"),
    "boundary": ("regex", r"\bfoo\b", "a word boundary, which is not supported"),
    "anchor inside": ("regex", "a$b", "an anchor $ inside, which is not supported"),
    "flag": ("regex", "(?>a)", "the pattern (?>a): unrecognized flag"),
    "open": ("regex", "(", "unclosed group"),
    "backslash": ("regex", "a\\", "ends in a backslash"),
    "impossible": ("regex", "[a&&b]", "no answer can satisfy it"),
    "many repetitions": ("regex", "a{100000}", "each token of an answer would take too long"),
    "too many": ("regex", "a{10000000}", "it is too large"),
    "nested too deep": ("regex", "(" * 1000 + "a" + ")" * 1000, "exceed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_held_is_refused_in_one_line(grammars: Grammars, name: str) -> None:
    kind, value, text = REFUSED[name]
    with pytest.raises(UserError, match=re.escape(text)) as error:
        grammars.compile(Format(kind=kind, value=value))  # type: ignore[arg-type]
    assert "\n" not in error.value.message
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    "pattern", ["^yes$", "(?i)abc", r"\d{3}-\d{4}", r"\p{L}{1,64}", "(?:a|b)+?", "é😀{2}", r"\Aa\z"]
)
def test_patterns_that_can_be_held_are_taken(grammars: Grammars, pattern: str) -> None:
    assert grammars.compile(Format(kind="regex", value=pattern)).shortest != 0


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "number", "multipleOf": 10**400}, "multipleOf are too large"),
        ({"$ref": "#/prefixItems/" + "9" * 5000}, "response_format"),
        (needs(**{f"a{n}": {"type": "integer"} for n in range(3500)}), "3,501 parts, more than 3,000"),
    ],
)
def test_sizes_beyond_measure_are_one_line(grammars: Grammars, schema: Schema, text: str) -> None:
    for _ in range(2):  # the second time the refusal is known
        with pytest.raises(UserError, match=text):
            grammars.compile(Format(kind="json_schema", value=schema))


def test_a_multiple_is_a_number(grammars: Grammars) -> None:
    with pytest.raises(UserError):
        grammars.compile(Format(kind="json_schema", value={"type": "number", "multipleOf": True}))


@pytest.mark.parametrize("pattern", ["a+b", r"\d+ apples", "(a|b)+c"])
def test_a_form_of_unknown_length_is_not_refused(service: GenerationService, pattern: str) -> None:
    asked = (Message(role="user", content="What?"),)
    form = Format(kind="regex", value=pattern)
    reply = service.submit(
        ChatRequest(messages=asked, seeds=(3,), format=form, max_thinking_tokens=0, max_tokens=80), streams=False
    )
    reply.join()
    (choice,) = reply.collect()
    assert choice.finish == "length" or re.fullmatch(pattern, choice.content)


def test_where_no_end_is_known_it_is_not_looked_for_at_each_token(
    grammars: Grammars, monkeypatch: pytest.MonkeyPatch
) -> None:
    grammar = grammars.compile(Format(kind="regex", value="a+b"))
    assert grammar.shortest is None
    looks = []
    monkeypatch.setattr(type(grammar), "_find_way", lambda self: looks.append(self))
    for left in range(400, 0, -1):
        grammar.find_allowed(left)
    assert 1 < len(looks) < 12


def answer(service: GenerationService, form: Format) -> Choice:
    asked = (Message(role="user", content="What?"),)
    request = ChatRequest(messages=asked, seeds=(3,), format=form, max_thinking_tokens=0, max_tokens=200)
    reply = service.submit(request, streams=False)
    reply.join()
    return reply.collect()[0]


@pytest.mark.parametrize(
    "text",
    [
        "<think>x</think>",
        "</think>",
        "a </answer> b",
        "<answer>1</answer>",
        "User: 2? Assistant:",
        "<|im_end|>",
        " \t ends in blanks \n",
        "名 é 😀 \u2028",
    ],
)
def test_what_looks_like_a_tag_or_a_special_token_comes_out_as_text(service: GenerationService, text: str) -> None:
    for form in (Format(kind="choice", value=[text]), Format(kind="regex", value=re.escape(text))):
        found = answer(service, form)
        assert (found.content, found.finish) == (text, "stop")
    forms: list[Schema] = [{"const": text}, {"enum": [text]}, {"type": "string", "pattern": f"^{re.escape(text)}$"}]
    for schema in [*forms, needs(**{text: {"const": 1}})]:
        found = answer(service, Format(kind="json_schema", value=schema))
        assert json.loads(found.content) == ({text: 1} if "properties" in schema else text)


def test_the_text_of_a_special_token_is_refused(model: ChatModel, grammars: Grammars) -> None:
    end = model.policy.tokenizer.backend_tokenizer.id_to_token(model.policy.eos_ids[0])
    for kind, value in (
        ("choice", [f"a {end} b"]),
        ("json_schema", {"const": end}),
        ("json_schema", needs(**{end: {}})),
    ):
        with pytest.raises(UserError, match="text of the special token"):
            grammars.compile(Format(kind=kind, value=value))  # type: ignore[arg-type]
