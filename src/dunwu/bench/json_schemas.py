"""Twenty JSON schemas, and questions that ask a model for an answer of their form."""

from __future__ import annotations

from typing import Any, Final

TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 20}
SHORT: Final = {"type": "string", "maxLength": 12}
COUNT: Final = {"type": "integer", "minimum": 0, "maximum": 999}
POINT: Final = {
    "type": "object",
    "properties": {"x": {"type": "number", "minimum": -90, "maximum": 90}, "y": {"type": "number"}},
    "required": ["x", "y"],
    "additionalProperties": False,
}


def make_object(required: tuple[str, ...] | None = None, **properties: Any) -> dict[str, Any]:
    """Make the schema of an object without other properties.

    Args:
        required: Properties that it must have; None: all.
        properties: By name.
    """
    names = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "flat": make_object(name=TEXT, age={"type": "integer", "minimum": 0, "maximum": 130}, member={"type": "boolean"}),
    "nested": make_object(user=make_object(name=TEXT, home=make_object(city=TEXT, at=POINT)), id=COUNT),
    "list": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 6}, "minItems": 1, "maxItems": 6},
    "list of objects": make_object(
        items={"type": "array", "minItems": 1, "maxItems": 3, "items": make_object(item=SHORT, count=COUNT)}
    ),
    "enum": make_object(mood={"enum": ["glad", "sad", "neither"]}, level={"enum": [1, 2, 3, None]}),
    "unicode keys": {
        "type": "object",
        "properties": {"名字": SHORT, "größe": COUNT, "clé": {"type": "boolean"}, "😀": {"enum": ["好", "坏"]}},
        "required": ["名字", "größe", "clé", "😀"],
        "additionalProperties": False,
    },
    "bounds": make_object(
        share={"type": "number", "minimum": 0, "maximum": 1},
        below={"type": "number", "exclusiveMinimum": -5, "exclusiveMaximum": 5},
        five={"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100},
    ),
    "optional": make_object(("title",), title=TEXT, subtitle=SHORT, pages=COUNT, price={"type": "number"}),
    "any of": make_object(value={"anyOf": [COUNT, SHORT, {"type": "null"}, POINT]}),
    "const": make_object(
        version={"const": 2}, kind={"const": "reply"}, ok={"const": True}, tags={"const": ["a", {"b": None}]}
    ),
    "pattern": make_object(
        code={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"}, hex={"type": "string", "pattern": "^#[0-9a-f]{6}$"}
    ),
    "lengths": make_object(
        pin={"type": "string", "minLength": 4, "maxLength": 4}, note={"type": "string", "minLength": 10}
    ),
    "tree": {
        "$defs": {
            "node": make_object(
                ("value",), value=COUNT, children={"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 3}
            )
        },
        "$ref": "#/$defs/node",
    },
    "chain": {
        "$defs": {"link": {"anyOf": [{"type": "null"}, make_object(word=SHORT, next={"$ref": "#/$defs/link"})]}},
        **make_object(first={"$ref": "#/$defs/link"}),
    },
    "formats": make_object(
        day={"type": "string", "format": "date"},
        hour={"type": "string", "format": "time"},
        at={"type": "string", "format": "date-time"},
        id={"type": "string", "format": "uuid"},
    ),
    "addresses": make_object(mail={"type": "string", "format": "email"}, host={"type": "string", "format": "ipv4"}),
    "tuple": {
        "type": "array",
        "prefixItems": [COUNT, {"type": "boolean"}, SHORT],
        "items": False,
        "minItems": 3,
    },
    "map": {"type": "object", "additionalProperties": COUNT, "minProperties": 1},
    "types": make_object(value={"type": ["string", "integer", "null"]}, list={"type": "array", "items": {}}),
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": COUNT}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "string", "maxLength": 8}}, "required": ["b"]},
        ]
    },
}
"""By name; JSON Schema, draft 2020-12."""

SUBJECTS: Final = (
    *("a cat", "a city by the sea", "the Moon", "a bicycle", "an old library", "a glass of water", "a train to Paris"),
    *("a birthday", "the number 7", "a doctor's visit", "a song", "a chess game", "a tall tree", "rain in June"),
    *("a small shop", "a lost key", "a school day", "the letter Q", "a recipe for soup", "a football match"),
    *(
        "一只猫",
        "上海的早晨",
        "一本书",
        "数字八",
        "下雨的星期天",
        "一张火车票",
        "妈妈做的汤",
        "一位老师",
        "月亮",
        "一棵树",
    ),
    *("a robot", "a bank account", "a volcano", "a photograph", "a mountain path", "a phone call", "a garden"),
    *("a coin", "an e-mail", "a winter night"),
)
ASKS: Final = (
    "Describe {} as JSON.",
    "Invent data about {} and give it as JSON.",
    "用 JSON 描述{}。",
    "I need a JSON record about {}.",
    "What comes to your mind about {}? Answer in JSON.",
)
QUESTIONS: Final = tuple(ask.format(subject) for ask in ASKS for subject in SUBJECTS)
"""200 of them."""


SYSTEM: Final = "Answer with JSON alone, which satisfies this JSON schema:\n"
"""What a model is given that no grammar holds; the schema follows."""
