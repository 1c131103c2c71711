"""What clients send to ``/v1/responses``: it is read as a chat completion that is written otherwise.

Nothing is stored, so a request brings its whole conversation with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, JsonValue, Tag, ValidationError, field_validator, model_validator

from dunwu.errors import UserError, did_you_mean
from dunwu.serve.http.bodies import MOST_MESSAGES, ChatBody, JsonSchema
from dunwu.serve.http.errors import Refusal, explain_body
from dunwu.serve.http.messages import Body, CalledBody, Function, FunctionBody, FunctionName, TextPart

CHATS_ALONE = {"messages", "n", "stop", "logprobs", "top_logprobs", "response_format", "max_tokens"}
CHATS_ALONE |= {"max_completion_tokens", "frequency_penalty", "presence_penalty"}
"""Fields of chat completions that responses have not, or have by another name; all others are the same."""
NAMES = {"messages": "input", "max_completion_tokens": "max_output_tokens", "response_format": "text.format"}
"""What the fields of a chat completion are called here."""

FUNCTION = re.compile(r"^(tools\.\d+)\.function\.")
"""Where a chat completion has the fields of a function; here they are the tool's own."""


class ItemBody(Body):
    """An item of the input. Clients send back what they were sent, with the fields that they filled with null."""

    id: JsonValue = None
    status: JsonValue = None

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, content: Any) -> Any:
        """Leave out what is null, known or not."""
        return {name: value for name, value in content.items() if value is not None}


class MessageItem(ItemBody):
    """A turn with a text; what an earlier response said beside it is let pass."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    phase: JsonValue = None

    def write(self) -> dict[str, Any]:
        """Return the turn as a message of a chat."""
        parts = [self.content] if isinstance(self.content, str) else [part.text for part in self.content]
        return {"role": self.role, "content": "".join(parts)}


class CallItem(ItemBody, CalledBody):
    """A call that the assistant has made."""

    type: Literal["function_call"]
    call_id: Annotated[str, Field(min_length=1, max_length=256)]

    def write(self) -> dict[str, Any]:
        """Return the call as a message of a chat."""
        called = {"name": self.name, "arguments": self.arguments}
        return {"role": "assistant", "tool_calls": [{"id": self.call_id, "function": called}]}


class OutputItem(ItemBody):
    """What a function gave back."""

    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(min_length=1, max_length=256)]
    output: str | list[TextPart]

    def write(self) -> dict[str, Any]:
        """Return it as a message of a chat."""
        parts = [self.output] if isinstance(self.output, str) else [part.text for part in self.output]
        return {"role": "tool", "content": "".join(parts), "tool_call_id": self.call_id}


class ReasoningItem(ItemBody):
    """An earlier chain of thought, which is not given to the model again."""

    model_config = ConfigDict(extra="allow")

    type: Literal["reasoning"]


def _find_kind(item: Any) -> str | None:
    """Return the tag of an item's kind, which errors do not name; turns need not have one."""
    return f"[{item.get('type') or 'message'}]" if isinstance(item, dict) else None


Item = Annotated[
    Annotated[MessageItem, Tag("[message]")]
    | Annotated[CallItem, Tag("[function_call]")]
    | Annotated[OutputItem, Tag("[function_call_output]")]
    | Annotated[ReasoningItem, Tag("[reasoning]")],
    Discriminator(
        _find_kind,
        custom_error_type="unknown_item",
        custom_error_message="items are of the type message, function_call, function_call_output or reasoning",
    ),
]


class SchemaFormat(JsonSchema):
    """Text, any JSON object, or JSON under a schema."""

    type: Literal["json_schema"]

    def write(self) -> dict[str, Any]:
        """Return the form as a chat has it."""
        return {"type": self.type, "json_schema": {"name": self.name, "schema": self.schema_}}


class PlainFormat(Body):
    """Text, or any JSON object."""

    type: Literal["text", "json_object"]

    def write(self) -> dict[str, Any]:
        """Return the form as a chat has it."""
        return {"type": self.type}


class TextBody(Body):
    """The form of the answer."""

    format: Annotated[SchemaFormat | PlainFormat, Field(discriminator="type")] = PlainFormat(type="text")


class ToolItem(FunctionBody, Function):
    """A function that may be called."""

    def write(self) -> dict[str, Any]:
        """Return the function as a chat has it."""
        return {"type": self.type, "function": self.model_dump(exclude={"type"}, exclude_unset=True)}


class NamedItem(FunctionName, Function):
    """A function that has to be called."""

    def write(self) -> dict[str, Any]:
        """Return the choice as a chat has it."""
        return {"type": self.type, "function": {"name": self.name}}


class ReasoningBody(Body):
    """Taken and not heeded: a model here thinks as long as it does, or for ``max_thinking_tokens``."""

    effort: str | None = None
    summary: str | None = None


class ResponsesBody(Body):
    """A body of ``/v1/responses``. Fields that a chat completion has, too, are read as they are there."""

    model_config = ConfigDict(extra="allow")

    input: Annotated[list[Item], Field(min_length=1, max_length=MOST_MESSAGES)]
    instructions: str = ""
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    text: TextBody = TextBody()
    tools: list[ToolItem] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | NamedItem | None = None
    reasoning: ReasoningBody | None = None
    include: list[Literal["reasoning.encrypted_content"]] | None = None
    store: bool = False
    previous_response_id: str | None = None
    background: Literal[False] = False
    truncation: Literal["disabled"] = "disabled"
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    @field_validator("input", mode="before")
    @classmethod
    def read_text(cls, content: Any) -> Any:
        """Take a text as the user's turn."""
        return [{"role": "user", "content": content}] if isinstance(content, str) else content

    @model_validator(mode="after")
    def check_stored(self) -> ResponsesBody:
        """Refuse what would have to be stored."""
        if self.store or self.previous_response_id:
            raise ValueError("store and previous_response_id: nothing is stored here; send the whole conversation")
        return self

    def read(self) -> ChatBody:
        """Return the body as that of a chat completion.

        Raises:
            Refusal: it is none.
        """
        shared = self.model_extra or {}
        known = set(ChatBody.model_fields) - CHATS_ALONE | set(type(self).model_fields)
        if unknown := next((name for name in shared if name not in known), None):
            text = f"no such field{did_you_mean(unknown, known)}"
            raise Refusal(400, text, field=unknown[:200], code="unknown_field")
        choice = self.tool_choice
        fields = {
            **shared,
            "messages": self._write_messages(),
            "max_completion_tokens": self.max_output_tokens,
            "response_format": self.text.format.write(),
            "tools": [tool.write() for tool in self.tools],
            "tool_choice": choice.write() if isinstance(choice, NamedItem) else choice,
        }
        with renamed_fields():
            try:
                return ChatBody.model_validate(fields)
            except ValidationError as error:
                raise explain_body(error, dict.fromkeys(known)) from None

    def _write_messages(self) -> list[dict[str, Any]]:
        """Write items as messages; calls are of the turn before them, where that is the assistant's."""
        messages: list[dict[str, Any]] = []
        if self.instructions:
            messages.append({"role": "developer", "content": self.instructions})
        for item in self.input:
            if isinstance(item, ReasoningItem):
                continue
            turn = item.write()
            if isinstance(item, CallItem) and messages and messages[-1]["role"] == "assistant":
                messages[-1]["tool_calls"] = [*messages[-1].get("tool_calls", []), *turn["tool_calls"]]
            else:
                messages.append(turn)
        return messages


@contextmanager
def renamed_fields() -> Iterator[None]:
    """Have errors of a derived chat completion name the fields of ``/v1/responses`` that it was derived from."""
    try:
        yield
    except UserError as error:
        field = error.field or ""
        found = next((name for name in NAMES if field == name or field.startswith(f"{name}.")), None)
        renamed = NAMES[found] if found else FUNCTION.sub(r"\1.", field)
        if renamed != field:
            error.field, error.args = renamed, (f"{renamed}: {error.message}",)
        raise
