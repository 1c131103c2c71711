"""The records between whoever asks and the generation service.

ChatRequest   a conversation, and how it is to be answered        chat and HTTP    -> service
Piece         what a choice gained since the last one             service          -> chat and HTTP
Choice        one finished answer                                 service          -> chat and HTTP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dunwu.errors import UserError
from dunwu.rollout.seeds import derive_seed
from dunwu.types import Message, ToolCall

FIELDS: Final = {
    "json_schema": "response_format",
    "regex": "structured_outputs.regex",
    "choice": "structured_outputs.choice",
    "calls": "tools",
}
"""The field of a request that asks for a form, by its kind."""
Finish = Literal["stop", "length", "tool_calls", "content_filter"]


class Busy(UserError):  # noqa: N818 -- an outcome, of which nobody is to blame
    """The queue is full; asking again later may help."""


class Stopped(UserError):  # noqa: N818 -- an outcome, too
    """The service is about to stop, and takes no more requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A form that answers must have: ``json_schema`` (a schema), ``regex`` (a pattern) or ``choice`` (a list of texts).

    It holds for what follows the reasoning. ``calls`` is a grammar of calls, see ``write_form``.
    """

    kind: Literal["json_schema", "regex", "choice", "calls"]
    value: Any

    @property
    def field(self) -> str:
        """The field of a request that asks for it."""
        return FIELDS[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A conversation that asks for an answer.

    Attributes:
        messages: the turns so far; the last is the user's.
        seeds: one for each answer that is wanted. The same seed gives the same answer, whoever else asks.
        temperature: 0 takes the likeliest token.
        top_p: the share of the probability that is drawn from.
        max_tokens: of reasoning and answer together; None: what the model's positions leave.
        max_thinking_tokens: after so many the reasoning is closed, and the answer follows; None: no bound.
        stop: texts that end the answer and are not part of it.
        top_logprobs: alternatives wanted beside each token's log-probability; None: no log-probabilities.
        format: of the answer.
        tools: functions that the chat template tells the model of, as OpenAI writes them; it may call them.
        must_call: names of those of which one has to be called; empty: the model may answer without.
        one_call: the first call ends the answer.
        client: who asks. Clients take turns where the queue is long.
        user: for whom the client asks, as it says; users take turns within those of their client.
        begun: tokens with which every answer begins; ``max_tokens`` counts those behind them.
        until: is called with the text behind them after each token; the answer is cut off where it returns True.
    """

    messages: tuple[Message, ...]
    seeds: tuple[int, ...] = (0,)
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    max_thinking_tokens: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    format: Format | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    must_call: tuple[str, ...] = ()
    one_call: bool = False
    client: str = ""
    user: str = ""
    begun: tuple[int, ...] = ()
    until: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """A token that was written: its text, its log-probability at temperature 1, and the likeliest others."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(slots=True, kw_only=True)
class Piece:
    """What one choice has gained.

    Attributes:
        index: the choice.
        reasoning: more of the chain of thought.
        content: more of the answer.
        calls: whole calls, by their place among all of the choice.
        logprobs: of the tokens of both, where they are wanted.
        finish: why it ended, with its last piece; ``content_filter`` where a policy kept it back.
    """

    index: int
    reasoning: str = ""
    content: str = ""
    calls: dict[int, ToolCall] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: Finish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One finished answer.

    Attributes:
        reasoning: the chain of thought without its tags; "" where the model did not think.
        content: the answer without tags; "" where the reasoning never ended.
        calls: of functions, behind the content.
        finish: ``length`` where it was cut off, ``tool_calls`` where there are calls and it was not.
        tokens: of the whole answer, the end of the sequence included.
        thinking_tokens: of these, the reasoning's with its tags.
        logprobs: of every token, where they were wanted.
        closed: the budget for thinking closed the reasoning.
        token_ids: what was written, without what the request had begun with.
        token_logprobs: of these, as they were sampled; at temperature 1 where the likeliest were taken.
    """

    reasoning: str
    content: str
    finish: Finish
    tokens: int
    thinking_tokens: int
    calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    closed: bool = False
    token_ids: tuple[int, ...] = ()
    token_logprobs: tuple[float, ...] = ()


def derive_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Derive the seeds of a request's answers: that of the i-th does not depend on how many there are."""
    return tuple(derive_seed(seed, "answer", index) for index in range(count))
