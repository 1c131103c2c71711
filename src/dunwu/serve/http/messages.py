"""Turns and tools as OpenAI's clients send them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic_core import from_json

from dunwu.types import Message, ToolCall

MOST_TOOLS = 128
NAME = r"^[a-zA-Z0-9_-]{1,64}$"
"""Of a function, as OpenAI has it."""


class Body(BaseModel):
    """A JSON object whose fields are all known; null is a field that is not there."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, content: Any) -> Any:
        """Leave what is null to its default."""
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None or name not in cls.model_fields}


class TextPart(Body):
    """A part of a message's content; texts alone are read. What clients were sent beside one is let pass."""

    type: Literal["text", "input_text", "output_text"]
    text: str
    annotations: JsonValue = None
    logprobs: JsonValue = None


class CalledBody(Body):
    """Of a call: the function, and its arguments as the text of a JSON object."""

    name: Annotated[str, Field(pattern=NAME)]
    arguments: str

    @field_validator("arguments")
    @classmethod
    def check_arguments(cls, arguments: str) -> str:
        """Write the object in one way, in which no character of a text is an escape that needs none."""
        try:
            found = from_json(arguments or "{}", allow_inf_nan=False)
        except ValueError as error:
            raise ValueError(f"it is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
        return write_strictly(found)


def write_strictly(value: Any) -> str:
    """Write JSON, of which parsers let more through than there is: ``NaN``, and ``1e999``, which is infinite.

    Args:
        value: as a parser read it.

    Returns:
        The text, in which no character is an escape that needs none.

    Raises:
        ValueError: it has a number that JSON has not.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise ValueError("it has a number that JSON has not: NaN or an infinite one") from None


def check_numbers(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema as it is; raise ValueError as ``write_strictly`` does."""
    write_strictly(schema)
    return schema


Schema = Annotated[dict[str, Any], AfterValidator(check_numbers)]
"""A JSON schema, of the numbers alone that JSON has."""


class CallBody(Body):
    """A call that an assistant has made."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: CalledBody
    index: int = 0

    def read(self) -> ToolCall:
        """Return the call as the service takes it."""
        return ToolCall(id=self.id, name=self.function.name, arguments=self.function.arguments)


class MessageBody(Body):
    """One turn. What clients were sent and send back is let pass: an earlier chain of thought, a refusal, a name."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: Annotated[list[CallBody], Field(max_length=MOST_TOOLS)] = []
    tool_call_id: Annotated[str, Field(max_length=256)] = ""
    name: JsonValue = None
    refusal: JsonValue = None
    reasoning: JsonValue = None
    reasoning_content: JsonValue = None
    annotations: JsonValue = None
    audio: JsonValue = None
    function_call: None = None

    @field_validator("content")
    @classmethod
    def check_unicode(cls, content: str | list[TextPart] | None) -> str | list[TextPart] | None:
        """Refuse lone surrogates, which no tokenizer reads."""
        texts = [content] if isinstance(content, str) else [part.text for part in content or ()]
        if any("\ud800" <= character <= "\udfff" for text in texts for character in text):
            raise ValueError("it is no valid Unicode: a lone surrogate")
        return content

    @model_validator(mode="after")
    def check_role(self) -> MessageBody:
        """Want the id of a call from a tool, and calls from the assistant alone."""
        if (self.role == "tool") != bool(self.tool_call_id):
            raise ValueError("tool_call_id is what a message of the role tool has, and no other")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls are what a message of the role assistant has, and no other")
        return self

    def read(self) -> Message:
        """Return the turn as the service takes it; developers' turns are the system's."""
        parts = self.content if isinstance(self.content, list) else None
        text = "".join(part.text for part in parts) if parts is not None else str(self.content or "")
        return Message(
            role="system" if self.role == "developer" else self.role,
            content=text,
            calls=tuple(call.read() for call in self.tool_calls),
            call_id=self.tool_call_id,
        )


class Function(Body):
    """A tool of the one kind that is known."""

    type: Literal["function"]


class FunctionBody(Body):
    """A function that may be called. ``strict`` is let pass: a call that has to come is always held to its schema."""

    name: Annotated[str, Field(pattern=NAME)]
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class ToolBody(Function):
    """A function that may be called."""

    function: FunctionBody


class FunctionName(Body):
    """The name of a function."""

    name: str


class NamedTool(Function):
    """A function that has to be called."""

    function: FunctionName


Tools = Annotated[list[ToolBody], Field(max_length=MOST_TOOLS)]
ToolChoice = Literal["none", "auto", "required"] | NamedTool


def find_forced(tools: list[ToolBody], choice: ToolChoice | None) -> tuple[str, ...]:
    """Return the names of the functions of which one has to be called.

    Raises:
        ValueError: two functions have one name, or none has that which is wanted.
    """
    names = [tool.function.name for tool in tools]
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise ValueError(f"tools has two functions with the name {twice[0]}")
    if choice in (None, "none", "auto"):
        return ()
    wanted = names if choice == "required" else [choice.function.name] if isinstance(choice, NamedTool) else []
    if not wanted or not set(wanted) <= set(names):
        raise ValueError("tool_choice names a function, or wants one, that is not among tools")
    return tuple(wanted)
