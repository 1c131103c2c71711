"""What clients send: the fields of OpenAI's chat completions that are answered, and a few of our own."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from dunwu.serve.guided import SearchLimits
from dunwu.serve.http.errors import explain_body
from dunwu.serve.http.messages import Body, MessageBody, Schema, ToolChoice, Tools, find_forced
from dunwu.serve.records import ChatRequest, Format, derive_seeds

MOST_CHOICES = 128
MOST_STOPS, LONGEST_STOP = 16, 256
MOST_MESSAGES = 1024
MOST_WIDTH, MOST_BEAMS, LONGEST_STEP = 64, 16, 1024
Text = Annotated[str, Field(min_length=1)]
Parsed = TypeVar("Parsed", bound="Body")


class JsonSchema(Body):
    """The schema of ``response_format``."""

    name: str = ""
    description: str | None = None
    schema_: Schema = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Body):
    """Of OpenAI: text, any JSON object, or JSON under a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def check_schema(self) -> ResponseFormat:
        """Want a schema where one is named."""
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema takes a schema, and nothing else does")
        return self

    def read(self) -> Format | None:
        """Return the format as the service takes it."""
        if self.type == "text":
            return None
        schema = {"type": "object"} if self.json_schema is None else self.json_schema.schema_
        return Format(kind="json_schema", value=schema)


class StructuredOutputs(Body):
    """Of vLLM: a pattern, or a choice of texts."""

    regex: Text | None = None
    choice: Annotated[list[Text], Field(min_length=1, max_length=1024)] | None = None

    @model_validator(mode="after")
    def check_one(self) -> StructuredOutputs:
        """Want one of them."""
        if (self.regex is None) == (self.choice is None):
            raise ValueError("it takes regex or choice, one of them")
        return self

    def read(self) -> Format:
        """Return the format as the service takes it."""
        return (
            Format(kind="choice", value=self.choice) if self.regex is None else Format(kind="regex", value=self.regex)
        )


class StreamOptions(Body):
    """``include_usage``: a last piece says how many tokens there were."""

    include_usage: bool = False
    include_obfuscation: bool = False


class GuidedBody(Body):
    """Of ``guided``: see ``SearchLimits``."""

    width: Annotated[int, Field(ge=1, le=MOST_WIDTH)] = 4
    beams: Annotated[int, Field(ge=1, le=MOST_BEAMS)] = 1
    sure: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    step_tokens: Annotated[int, Field(ge=1, le=LONGEST_STEP)] = 32

    def read(self) -> SearchLimits:
        """Return them as the search takes them."""
        return SearchLimits(**dict(self))


class ChatBody(Body):
    """A body of ``/v1/chat/completions``.

    Of our own are ``max_thinking_tokens``, ``vote`` (samples of which the majority answers) and ``vote_confidence``;
    and where there is a guide ``vote_weighted``, ``best_of`` and ``guided``.
    """

    messages: Annotated[list[MessageBody], Field(min_length=1, max_length=MOST_MESSAGES)]
    model: str = ""
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_thinking_tokens: Annotated[int, Field(ge=0)] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    tools: Tools = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    vote: Annotated[int, Field(ge=2, le=MOST_CHOICES)] | None = None
    vote_confidence: Annotated[float, Field(ge=0.5, lt=1.0)] | None = None
    vote_weighted: bool = False
    best_of: Annotated[int, Field(ge=2, le=MOST_CHOICES)] | None = None
    guided: GuidedBody | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    parallel_tool_calls: bool | None = None
    frequency_penalty: Annotated[float, Field(ge=0.0, le=0.0)] | None = None
    presence_penalty: Annotated[float, Field(ge=0.0, le=0.0)] | None = None

    @field_validator("stop")
    @classmethod
    def check_stops(cls, stop: str | list[str] | None) -> str | list[str] | None:
        """Bound number and length."""
        stops = [stop] if isinstance(stop, str) else stop or []
        if len(stops) > MOST_STOPS or any(not 0 < len(one) <= LONGEST_STOP for one in stops):
            raise ValueError(f"at most {MOST_STOPS} texts of 1 to {LONGEST_STOP} characters")
        return stop

    @field_validator("guided", mode="before")
    @classmethod
    def take_switch(cls, guided: Any) -> Any:
        """Let true stand for all defaults, and false for nothing."""
        return ({} if guided else None) if isinstance(guided, bool) else guided

    @model_validator(mode="after")
    def check_guided(self) -> ChatBody:
        """Check what is asked for together with a guide."""
        ways = [name for name in ("vote", "best_of", "guided") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"{ways[0]} and {ways[1]} are two ways to one answer")
        if ways and self.n > 1:
            raise ValueError(f"{ways[0]} makes one answer of many, and n asks for more")
        if self.vote_weighted and self.vote is None:
            raise ValueError("vote_weighted takes vote")
        if self.vote_weighted and self.vote_confidence is not None:
            raise ValueError("vote_confidence counts votes, and vote_weighted counts weights")
        if self.guided and self.logprobs:
            raise ValueError("guided writes what no sampling has drawn: it has no logprobs")
        if self.guided and (self.has_form or self.structured_outputs or find_forced(self.tools, self.tool_choice)):
            raise ValueError("guided writes step by step, and a form or a call is of whole answers: ask for best_of")
        return self

    @model_validator(mode="after")
    def check_together(self) -> ChatBody:
        """Check what fields ask for together."""
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs takes logprobs: true")
        if self.vote_confidence is not None and self.vote is None:
            raise ValueError("vote_confidence takes vote")
        if self.has_form and self.structured_outputs:
            raise ValueError("response_format and structured_outputs ask for two forms")
        if find_forced(self.tools, self.tool_choice) and self.vote is not None:
            raise ValueError("vote counts answers, and tool_choice wants a call")
        if self.messages[-1].role == "assistant":
            raise ValueError("the last message is the assistant's: there is nothing to answer")
        return self

    @property
    def has_form(self) -> bool:
        """Whether ``response_format`` asks for more than text."""
        return self.response_format is not None and self.response_format.read() is not None

    @property
    def compiles(self) -> bool:
        """Whether it brings what is compiled before the first token: a form, or tools."""
        return bool(self.has_form or self.structured_outputs or self.tools)

    @property
    def may_be_remembered(self) -> bool:
        """Whether a stored answer would do: nobody asks for a certain seed, several answers, or log-probabilities."""
        return self.seed is None and self.n == 1 and not self.logprobs

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with how many tokens there were."""
        return self.stream_options is not None and self.stream_options.include_usage

    def write_tools(self) -> list[dict[str, Any]]:
        """Write the tools as they came, for the template and for who wants to see them again."""
        return [tool.model_dump(exclude_unset=True) for tool in self.tools]

    def read(self, temperature: float, top_p: float, client: str) -> tuple[ChatRequest, int]:
        """Return the request as the service takes it, and the seed that its answers' seeds are made of.

        Args:
            temperature: where the body names none.
            top_p: likewise.
            client: who asks.
        """
        seed = secrets.randbits(53) if self.seed is None else self.seed
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        wanted = self.response_format if self.has_form else self.structured_outputs
        request = ChatRequest(
            messages=tuple(message.read() for message in self.messages),
            seeds=derive_seeds(seed, self.vote or self.best_of or self.n),
            temperature=temperature if self.temperature is None else self.temperature,
            top_p=top_p if self.top_p is None else self.top_p,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            max_thinking_tokens=self.max_thinking_tokens,
            stop=stop,
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            format=wanted.read() if wanted else None,
            tools=() if self.tool_choice == "none" else tuple(self.write_tools()),
            must_call=find_forced(self.tools, self.tool_choice),
            one_call=self.parallel_tool_calls is False,
            client=client,
            user=self.user or "",
        )
        return request, seed


def parse_body(kind: type[Parsed], content: bytes) -> Parsed:
    """Read a body.

    Args:
        kind: its fields.
        content: JSON.

    Returns:
        The body, validated.

    Raises:
        Refusal: the body is none of that kind.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise explain_body(error, kind.model_fields) from None


def write_json(content: Any) -> str:
    """Write JSON in one line."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
