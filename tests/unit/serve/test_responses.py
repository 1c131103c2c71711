"""``/v1/responses`` as the official client of OpenAI asks and reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from dunwu.serve.answering import Answerer
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.http.bodies import ChatBody
from dunwu.serve.http.responses_body import ResponsesBody
from dunwu.serve.path_cache.store import PathCache
from dunwu.serve.path_memory import PathMemory
from dunwu.serve.records import ChatRequest
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.policy import read_policy
from dunwu.serve.reviewer import Reviewer
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits
from dunwu.types import Message, ToolCall

from .conftest import Address, run_server
from .tool_model import CLOCK, WEATHER, open_tool_model, scripted

QUESTION = "Use 3, 5, 7 once each with + - * / to make 22."
TOOLS: Any = [{"type": "function", **one} for one in (WEATHER, CLOCK)]
CALL = '<tool_call>\n{"name": "find_weather", "arguments": {"city": "Bonn", "days": 2}}\n</tool_call>'


@pytest.fixture(scope="module")
def tool_model(tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    return open_tool_model(tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="module")
def client(tool_model: ChatModel) -> Iterator[openai.OpenAI]:
    service = GenerationService(tool_model, ServiceLimits(max_sequences=8, queue=64))
    with run_server(Answerer(service)) as address, open_client(address) as made:
        yield made
    service.stop(0.0)


@pytest.fixture(scope="module")
def nano(address: Address) -> Iterator[openai.OpenAI]:
    with open_client(address) as made:
        yield made


def open_client(address: Address) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address.url}/v1", api_key="-", max_retries=0, timeout=120)


def ask(client: openai.OpenAI, asked: Any = "The weather?", **options: Any) -> Any:
    return client.responses.create(**{"model": "", "input": asked, **options})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ChatRequest]:
    """What reaches the service."""
    found: list[ChatRequest] = []
    submit = GenerationService.submit

    def record(service: GenerationService, request: ChatRequest, **options: Any) -> Any:
        found.append(request)
        return submit(service, request, **options)

    monkeypatch.setattr(GenerationService, "submit", record)
    return found


def test_a_response_says_what_the_chat_says(nano: openai.OpenAI) -> None:
    chat = nano.chat.completions.create(model="nano", messages=[{"role": "user", "content": QUESTION}], seed=7)
    response = ask(nano, QUESTION, extra_body={"seed": 7})
    message: Any = chat.choices[0].message
    assert response.output_text == message.content
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert [part.text for part in response.output[0].content] == [message.reasoning]
    assert response.output[0].summary == []
    assert (response.status, response.incomplete_details, response.model) == ("completed", None, "nano")
    assert chat.usage is not None
    assert response.usage.input_tokens == chat.usage.prompt_tokens
    assert response.usage.output_tokens == chat.usage.completion_tokens
    details = chat.usage.completion_tokens_details
    assert details is not None
    assert response.usage.output_tokens_details.reasoning_tokens == details.reasoning_tokens
    assert response.seed == 7


def test_a_limit_makes_it_incomplete(nano: openai.OpenAI) -> None:
    response = ask(nano, QUESTION, max_output_tokens=5)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.usage.output_tokens == 5


def test_a_form_and_a_vote_and_a_budget(nano: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"format": {"type": "json_schema", "name": "x", "schema": schema | {"additionalProperties": False}}}
    assert set(json.loads(ask(nano, QUESTION, text=form, max_output_tokens=200).output_text)) == {"n"}
    assert isinstance(json.loads(ask(nano, QUESTION, text={"format": {"type": "json_object"}}).output_text), dict)
    voted = ask(nano, QUESTION, extra_body={"vote": 4, "seed": 1})
    assert voted.vote["wanted"] == 4
    assert voted.vote["groups"][0]["answer"] == voted.output_text
    brief = ask(nano, QUESTION, extra_body={"max_thinking_tokens": 6, "seed": 1})
    assert brief.usage.output_tokens_details.reasoning_tokens == 7


def test_a_stream_is_the_whole_response_in_pieces(client: openai.OpenAI) -> None:
    text = f'where?\n</think>\n\nI look.\n{CALL}\n<tool_call>{{"name": "read_clock"}}</tool_call>'
    with scripted(text):
        whole = ask(client, tools=TOOLS)
        events = list(ask(client, tools=TOOLS, stream=True))
        with client.responses.stream(model="", input="The weather?", tools=TOOLS) as stream:
            for _ in stream:
                pass
            final: Any = stream.get_final_response()
    kinds = [event.type for event in events]
    deltas = {kind: "".join(event.delta for event in events if event.type == kind) for kind in kinds if "delta" in kind}
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds.count("response.output_text.delta") > 1
    assert deltas["response.reasoning_text.delta"] == "where?"
    assert deltas["response.output_text.delta"] == "I look."
    assert events[-1].response.usage == whole.usage == final.usage
    for response in (whole, events[-1].response, final):
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
        assert response.output_text == "I look."
        calls = [(item.name, json.loads(item.arguments)) for item in response.output[2:]]
        assert calls == [("find_weather", {"city": "Bonn", "days": 2}), ("read_clock", {})]
    done = [event for event in events if event.type == "response.output_item.done"]
    assert [event.output_index for event in done] == [0, 1, 2, 3]
    assert [event.item.status for event in done] == ["completed"] * 4


def test_a_call_that_has_to_come(client: openai.OpenAI) -> None:
    for choice in ("required", {"type": "function", "name": "find_weather"}):
        response = ask(client, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False, max_output_tokens=300)
        (call,) = [item for item in response.output if item.type != "reasoning"]
        assert call.type == "function_call"
        assert choice == "required" or call.name == "find_weather"


def test_items_become_turns(client: openai.OpenAI, asked: list[ChatRequest]) -> None:
    with scripted(f"hm</think>I look.{CALL}"):
        first = ask(client, tools=TOOLS)
    question = {"role": "user", "content": [{"type": "input_text", "text": "The weather?"}]}
    sent = [question, *(item.model_dump() for item in first.output)]
    sent.append({"type": "function_call_output", "call_id": first.output[-1].call_id, "output": "Rain."})
    with scripted("</think>It rains."):
        answer = ask(client, sent, tools=TOOLS, instructions="Be brief.", reasoning={"effort": "low"}, store=False)
    assert answer.output_text == "It rains."
    call = ToolCall(id=first.output[-1].call_id, name="find_weather", arguments='{"city": "Bonn", "days": 2}')
    assert asked[-1].messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="The weather?"),
        Message(role="assistant", content="I look.", calls=(call,)),
        Message(role="tool", content="Rain.", call_id=call.id),
    )


@pytest.mark.parametrize(
    ("options", "message", "field"),
    [
        ({"store": True}, "nothing is stored here; send the whole conversation", None),
        ({"previous_response_id": "resp_1"}, "nothing is stored here", None),
        ({"input": []}, "input: ", "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0: items are of the type message", "input.0"),
        ({"input": [{"role": "user", "content": "x", "colour": 1}]}, "no such field", "input.0.colour"),
        ({"input": "x" * 5000}, "the conversation has", "input"),
        ({"tools": [{"type": "web_search"}]}, "input should be 'function'", "tools.0.type"),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": {"type": "array"}}]},
            "its type is to be object",
            "tools.0.parameters",
        ),
        ({"extra_body": {"messages": []}}, "messages: no such field", "messages"),
        ({"extra_body": {"response_format": {}}}, "response_format: no such field", "response_format"),
        ({"extra_body": {"max_completion_tokens": 5}}, "max_completion_tokens: no such", "max_completion_tokens"),
        ({"extra_body": {"tools.0.function.x": 1}}, "tools.0.function.x: no such field", "tools.0.function.x"),
        ({"max_output_tokens": 1, "text": {"format": {"type": "json_object"}}}, "no answer of 1", "max_output_tokens"),
        ({"extra_body": {"n": 2}}, "n: no such field", "n"),
        ({"extra_body": {"temprature": 2}}, "no such field; did you mean temperature?", "temprature"),
        ({"temperature": 3}, "less than or equal to 2", "temperature"),
        ({"extra_body": {"vote": 1}}, "greater than or equal to 2", "vote"),
    ],
)
def test_what_is_wrong_is_a_400_that_says_so(
    client: openai.OpenAI, options: dict[str, Any], message: str, field: str | None
) -> None:
    for more in ({}, {"stream": True}):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, **options, **more)
        assert message in refused.value.message
        assert refused.value.param == field


def test_a_body_is_read_once(nano: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, read = [], ResponsesBody.read

    def count(body: ResponsesBody) -> ChatBody:
        reads.append(body)
        return read(body)

    monkeypatch.setattr(ResponsesBody, "read", count)
    whole = ask(nano, QUESTION, temperature=0.5, max_output_tokens=9)
    *_, last = ask(nano, QUESTION, temperature=0.5, max_output_tokens=9, stream=True)
    assert len(reads) == 2
    assert (whole.temperature, last.response.temperature, last.response.max_output_tokens) == (0.5, 0.5, 9)


def test_null_is_the_default(client: openai.OpenAI) -> None:
    names = ("temperature", "top_p", "instructions", "text", "tools", "tool_choice", "store", "reasoning", "metadata")
    body = {"input": "?", "max_output_tokens": 3, **dict.fromkeys(names)}
    response = httpx.post(f"{client.base_url}responses", json=body, timeout=60)
    assert response.json()["status"] == "incomplete", response.text


def test_policy_and_cache_stand_around_it(model: ChatModel, service: GenerationService, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(
        'name = "t"\ndefault = "answer"\n[topics.harm]\naction = "refuse"\nkeywords = ["bomb"]\nrefusal = "No."\n'
        '[topics.many]\naction = "hold"\nkeywords = ["23"]\napplies_to = ["question"]\n'
    )
    queue, cache = HeldQueue(tmp_path / "review"), PathCache(tmp_path / "cache.sqlite", 1 << 20)
    reviewer = Reviewer(read_policy(tmp_path / "policy.toml"), queue, service)
    answerer = Answerer(service, PathMemory(cache, model, hints=False), reviewer)
    with run_server(answerer) as address, open_client(address) as client:
        refused = ask(client, "A bomb?")
        held = ask(client, QUESTION.replace("22", "23"))
        voted = ask(client, QUESTION, temperature=0, extra_body={"vote": 4})
        again = list(ask(client, QUESTION, temperature=0, stream=True))[-1].response
    assert (refused.output_text, refused.incomplete_details.reason) == ("No.", "content_filter")
    assert held.output == []
    assert held.review["poll"].startswith("/v1/held/")
    assert voted.cache == {"hit": "none"}
    assert (again.cache["hit"], again.output_text) == ("exact", voted.output_text)
