"""A grammar that fails amid an answer ends that reply with an error, and no other."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from llguidance import LLMatcher

from dunwu.bench.json_schemas import SCHEMAS
from dunwu.errors import Fault
from dunwu.serve.grammar import Grammar
from dunwu.serve.records import ChatRequest, Format
from dunwu.serve.reply import Reply
from dunwu.serve.service import GenerationService
from dunwu.types import Message

from .conftest import Address

FORM = Format(kind="json_schema", value=SCHEMAS["flat"])
LINE = "the grammar of the answer failed on the way: Parser Error: too many items"


class FailingMatcher:
    """A matcher that comes to a limit, as the library's do: it stays in its error, and has but the end to offer.

    Args:
        matcher: the library's.
        tokens: that it takes before.
        at_mask: it fails with the mask behind them, and not with the next token.
    """

    def __init__(self, matcher: LLMatcher, tokens: int, at_mask: bool) -> None:
        self._matcher, self._tokens, self._at_mask = matcher, tokens, at_mask
        self._failed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._matcher, name)

    def consume_token(self, token_id: int) -> bool:
        self._failed |= not self._tokens and not self._at_mask
        self._tokens -= not self._failed
        return not self._failed and bool(self._matcher.consume_token(token_id))

    def validate_tokens(self, tokens: list[int]) -> int:
        return 0 if self._failed or (self._at_mask and not self._tokens) else self._matcher.validate_tokens(tokens)

    def compute_bitmask(self) -> bytes:
        self._failed |= self._at_mask and not self._tokens
        if self._failed:  # an error of the library's own, for the mask that it makes then
            failed = self._matcher.deep_copy()
            failed.consume_token(0)
            assert failed.is_error()
            return failed.compute_bitmask()
        return self._matcher.compute_bitmask()

    def is_stopped(self) -> bool:
        return self._failed or self._matcher.is_stopped()

    def is_error(self) -> bool:
        return self._failed

    def get_error(self) -> str:
        return "Parser Error: too many items\n<state>\nTokens: 7\n" if self._failed else ""


class Failing:
    """Lets the matchers of answers fail that are asked for while it is ``on``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tokens: int, at_mask: bool) -> None:
        self.on, copy = True, Grammar.copy

        def copy_failing(grammar: Grammar) -> Grammar:
            made = copy(grammar)
            if self.on and isinstance(made._matcher, LLMatcher):
                made._matcher = FailingMatcher(made._matcher, tokens, at_mask)  # type: ignore[assignment]
            return made

        monkeypatch.setattr(Grammar, "copy", copy_failing)


def ask(service: GenerationService, *seeds: int) -> Reply:
    asked = (Message(role="user", content="What?"),)
    return service.submit(ChatRequest(messages=asked, seeds=seeds, format=FORM, max_thinking_tokens=0, max_tokens=200))


@pytest.mark.parametrize("at_mask", [False, True])
@pytest.mark.parametrize("tokens", [0, 1, 7])
def test_a_grammar_that_fails_ends_its_reply_alone(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch, tokens: int, at_mask: bool
) -> None:
    failing = Failing(monkeypatch, tokens, at_mask)
    broken = ask(service, 1, 2, 3)
    failing.on = False
    whole = ask(service, 1, 2, 3)
    pieces = []
    with pytest.raises(Fault) as error:
        pieces += list(broken.wait())
    assert str(error.value) == LINE
    assert not [piece.finish for piece in pieces if piece.finish], "nothing says that it is whole"
    with pytest.raises(Fault):
        broken.collect()
    whole.join()
    for choice in whole.collect():
        assert choice.finish == "stop"
        json.loads(choice.content)
    broken.settle()
    counts = service.counts
    assert (counts.samples, counts.finished, counts.given_up) == (6, 3, 3)
    assert service.decoding == 0


def test_over_http_it_is_a_500_of_one_line(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(monkeypatch, 4, False)
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": FORM.value}}
    body = {"messages": [{"role": "user", "content": "What?"}], "response_format": form, "max_thinking_tokens": 0}
    url = f"{address.url}/v1/chat/completions"
    answer = httpx.post(url, json=body, timeout=60)
    assert answer.status_code == 500
    assert answer.json()["error"] == {"message": LINE, "type": "server_error", "param": None, "code": None}
    streamed = httpx.post(url, json={**body, "stream": True}, timeout=60).text.strip().split("\n\n")
    assert json.loads(streamed[-1].removeprefix("data: "))["error"]["message"] == LINE
    assert '"finish_reason":"stop"' not in "".join(streamed)
    failing.on = False
    assert httpx.post(url, json=body, timeout=60).json()["choices"][0]["finish_reason"] == "stop"
