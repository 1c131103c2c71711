"""The official client of OpenAI against ``dunwu serve``: what it asks and what it reads, case by case."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from dunwu.serve.service import GenerationService

from .conftest import Address

QUESTION = "Use 3, 5, 7 once each with + - * / to make 22."
SCHEMA = {
    "type": "object",
    "properties": {"zahl": {"type": "integer", "minimum": 0, "maximum": 99}, "名": {"enum": ["甲", "乙"]}},
    "required": ["zahl", "名"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(address: Address) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address.url}/v1", api_key="none", max_retries=0, timeout=120) as made:
        yield made


def ask(client: openai.OpenAI, question: str = QUESTION, **options: Any) -> ChatCompletion:
    messages: Any = [{"role": "user", "content": question}]
    answer: ChatCompletion = client.chat.completions.create(model="nano", messages=messages, **options)
    return answer


def stream(client: openai.OpenAI, **options: Any) -> list[Any]:
    messages: Any = [{"role": "user", "content": QUESTION}]
    chunks: Any = client.chat.completions.create(model="nano", messages=messages, stream=True, **options)
    return list(chunks)


def reasoning_of(message: Any) -> str:
    both = message.model_extra.get("reasoning"), message.model_extra.get("reasoning_content")
    assert both[0] == both[1]
    return str(both[0] or "")


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["nano"]


def test_a_model_is_found_by_name(client: openai.OpenAI) -> None:
    assert client.models.retrieve("nano").owned_by == "dunwu"


def test_an_answer_has_reasoning_and_content(client: openai.OpenAI) -> None:
    answer = ask(client, seed=1)
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.role, choice.index) == ("stop", "assistant", 0)
    assert reasoning_of(choice.message)
    assert choice.message.content
    assert "<" not in choice.message.content + reasoning_of(choice.message)


def test_usage_counts_tokens(client: openai.OpenAI) -> None:
    usage = ask(client, seed=1).usage
    assert usage is not None
    assert usage.completion_tokens_details is not None
    assert usage.prompt_tokens == 16
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    thinking = usage.completion_tokens_details.reasoning_tokens
    assert thinking is not None
    assert 0 < thinking < usage.completion_tokens


def test_the_same_seed_gives_the_same_answer(client: openai.OpenAI) -> None:
    one, other = ask(client, seed=7), ask(client, seed=7)
    assert one.choices == other.choices
    assert ask(client, seed=8).choices != one.choices


def test_an_answer_without_a_seed_names_one_that_asks_for_it_again(client: openai.OpenAI) -> None:
    one = ask(client)
    assert one.model_extra is not None
    assert ask(client, seed=one.model_extra["seed"]).choices == one.choices


def test_n_answers_begin_with_the_single_one(client: openai.OpenAI) -> None:
    several = ask(client, seed=7, n=5)
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3, 4]
    assert several.choices[0] == ask(client, seed=7).choices[0]
    assert len({choice.message.content for choice in several.choices}) > 1


def test_a_stream_is_the_whole_answer_in_pieces(client: openai.OpenAI) -> None:
    whole, chunks = ask(client, seed=7), stream(client, seed=7)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) > 3
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    reasoning = "".join(reasoning_of(chunk.choices[0].delta) for chunk in chunks)
    message = whole.choices[0].message
    assert (reasoning, content) == (reasoning_of(message), message.content)
    assert len({chunk.id for chunk in chunks}) == 1


def test_streams_of_several_choices_do_not_mix(client: openai.OpenAI) -> None:
    whole, texts = ask(client, seed=3, n=4), dict.fromkeys(range(4), "")
    for chunk in stream(client, seed=3, n=4):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == {choice.index: choice.message.content for choice in whole.choices}


def test_a_stream_says_its_usage_where_it_is_asked(client: openai.OpenAI) -> None:
    chunks = stream(client, seed=7, stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage == ask(client, seed=7).usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_stop_text_ends_the_answer_and_is_not_in_it(client: openai.OpenAI) -> None:
    whole = ask(client, seed=7).choices[0].message.content
    assert whole is not None
    cut = ask(client, seed=7, stop=[whole[3], "zzz"])
    assert cut.choices[0].message.content == whole[: whole.index(whole[3])]
    assert cut.choices[0].finish_reason == "stop"
    assert reasoning_of(cut.choices[0].message) == reasoning_of(ask(client, seed=7).choices[0].message)


def test_a_limit_of_tokens_cuts_off(client: openai.OpenAI) -> None:
    answer = ask(client, seed=7, max_completion_tokens=5)
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("length", "")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_the_older_name_of_the_limit_is_known(client: openai.OpenAI) -> None:
    assert ask(client, seed=7, max_tokens=5).choices == ask(client, seed=7, max_completion_tokens=5).choices


def test_a_budget_for_thinking_closes_the_chain(client: openai.OpenAI) -> None:
    answer = ask(client, seed=7, extra_body={"max_thinking_tokens": 6})
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 7
    assert answer.choices[0].message.content


def test_log_probabilities_of_every_token(client: openai.OpenAI) -> None:
    answer = ask(client, seed=7, logprobs=True, top_logprobs=3)
    assert answer.usage is not None
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert len(logprobs.content) == answer.usage.completion_tokens
    for token in logprobs.content:
        assert [top.logprob for top in token.top_logprobs] == sorted(
            (t.logprob for t in token.top_logprobs), reverse=True
        )
        assert len(token.top_logprobs) == 3
        assert token.logprob <= token.top_logprobs[0].logprob <= 0
        assert bytes(token.bytes or []).decode() == token.token
    text = "".join(token.token for token in logprobs.content)
    assert text.endswith("</answer><|endoftext|>")


def test_log_probabilities_come_in_a_stream(client: openai.OpenAI) -> None:
    whole = ask(client, seed=7, logprobs=True).choices[0].logprobs
    chunks = stream(client, seed=7, logprobs=True)
    found = [token for chunk in chunks if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content]
    assert whole is not None
    assert found == whole.content


def test_temperature_0_is_greedy_under_every_seed(client: openai.OpenAI) -> None:
    assert ask(client, seed=1, temperature=0).choices == ask(client, seed=2, temperature=0).choices


def test_top_p_draws_from_fewer_tokens(client: openai.OpenAI) -> None:
    nearly_greedy = ask(client, seed=1, top_p=1e-6, temperature=1.0)
    assert nearly_greedy.choices == ask(client, seed=9, temperature=0).choices


def test_json_under_a_schema(client: openai.OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    for seed in range(4):
        answer = ask(client, seed=seed, response_format=form, max_completion_tokens=200)
        found = json.loads(answer.choices[0].message.content or "")
        assert set(found) == {"zahl", "名"}
        assert 0 <= found["zahl"] <= 99
        assert found["名"] in ("甲", "乙")
        assert reasoning_of(answer.choices[0].message), "the chain is free"


def test_any_json_object(client: openai.OpenAI) -> None:
    answer = ask(client, seed=1, response_format={"type": "json_object"}, max_completion_tokens=120)
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


@pytest.mark.parametrize(
    ("form", "allowed"),
    [
        ({"choice": ["yes", "no", "也许"]}, {"yes", "no", "也许"}),
        ({"regex": "[ab]{3}"}, {a + b + c for a in "ab" for b in "ab" for c in "ab"}),
    ],
)
def test_a_choice_or_a_pattern(client: openai.OpenAI, form: dict[str, Any], allowed: set[str]) -> None:
    for seed in range(3):
        answer = ask(client, seed=seed, extra_body={"structured_outputs": form}, max_completion_tokens=100)
        assert answer.choices[0].message.content in allowed


def test_an_impossible_schema_says_why(client: openai.OpenAI) -> None:
    for schema, reason in (
        ({"type": "foo"}, "Invalid type: foo"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength (5) is greater than maxLength (2)"),
    ):
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, response_format=form)
        assert reason in refused.value.message
        assert refused.value.param == "response_format"


@pytest.mark.parametrize(
    ("form", "field", "reason"),
    [
        ({"regex": "("}, "structured_outputs.regex", "unclosed group"),
        ({"regex": "a\\"}, "structured_outputs.regex", "ends in a backslash"),
        ({"regex": "[a&&b]"}, "structured_outputs.regex", "no answer can satisfy it"),
        ({"choice": ["<|endoftext|>"]}, "structured_outputs.choice", "the text of the special token"),
    ],
)
def test_an_impossible_form_names_its_own_field(
    client: openai.OpenAI, form: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=re.escape(f"{field}: ")) as refused:
        ask(client, extra_body={"structured_outputs": form})
    assert reason in refused.value.message
    assert refused.value.param == field


def test_a_vote_answers_with_the_majority(client: openai.OpenAI) -> None:
    answer = ask(client, seed=1, extra_body={"vote": 8})
    assert answer.model_extra is not None
    vote = answer.model_extra["vote"]
    assert vote["wanted"] == 8
    assert 5 <= vote["samples"] <= 8
    assert vote["groups"][0]["answer"] == answer.choices[0].message.content
    assert sum(group["votes"] for group in vote["groups"]) <= vote["samples"]


def test_a_vote_streams_how_it_stands(client: openai.OpenAI) -> None:
    chunks = stream(client, seed=1, extra_body={"vote": 4, "vote_confidence": 0.9})
    standing = [chunk.model_extra["vote"]["samples"] for chunk in chunks if "vote" in chunk.model_extra]
    assert standing[:2] == [1, 2]
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n: input should be greater than or equal to 1"),
        ({"n": 10**9}, "n: input should be less than or equal to 128"),
        ({"temperature": 3}, "temperature: input should be less than or equal to 2"),
        ({"temperature": "hot"}, "temperature: input should be a valid number"),
        ({"top_p": 0}, "top_p: input should be greater than 0"),
        ({"max_tokens": 0}, "max_tokens: input should be greater than or equal to 1"),
        ({"stop": [""]}, "stop: at most 16 texts of 1 to 256 characters"),
        ({"stop": ["x"] * 17}, "stop: at most 16 texts"),
        ({"top_logprobs": 2}, "top_logprobs takes logprobs: true"),
        ({"frequency_penalty": 1.0}, "frequency_penalty: input should be less than or equal to 0"),
        ({"extra_body": {"temprature": 1}}, "temprature: no such field; did you mean temperature?"),
        ({"extra_body": {"vote": 1}}, "vote: input should be greater than or equal to 2"),
        ({"extra_body": {"vote": 4}, "n": 2}, "vote makes one answer of many"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools: the model's template knows no tools"),
        ({"response_format": {"type": "json_schema"}}, "json_schema takes a schema"),
    ],
)
def test_what_is_wrong_is_a_400_that_says_so(client: openai.OpenAI, options: dict[str, Any], message: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, **options)
    assert message in refused.value.message
    assert refused.value.type == "invalid_request_error"


def test_another_model_is_a_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-5' here; there is nano"):
        client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "?"}])


def test_a_conversation_of_several_turns_is_refused_where_the_template_has_no_room(client: openai.OpenAI) -> None:
    turns: Any = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
    ]
    with pytest.raises(openai.BadRequestError, match="several turns, which takes a chat template"):
        client.chat.completions.create(model="nano", messages=turns)


def test_who_stops_reading_frees_the_rows(client: openai.OpenAI, http_service: GenerationService) -> None:
    before = http_service.counts.given_up
    messages: Any = [{"role": "user", "content": QUESTION}]
    with client.chat.completions.create(model="nano", messages=messages, n=64, stream=True) as chunks:
        next(iter(chunks))
    http_service.wait_until(lambda: http_service.counts.given_up > before)
    http_service.wait_until(lambda: http_service.decoding == 0)


def test_the_asynchronous_client_asks_many_at_once(client: openai.OpenAI, address: Address) -> None:
    import asyncio

    async def ask_all() -> list[ChatCompletion]:
        async with openai.AsyncOpenAI(base_url=f"{address.url}/v1", api_key="none", max_retries=0, timeout=120) as many:
            messages: Any = [{"role": "user", "content": QUESTION}]
            asked = (many.chat.completions.create(model="nano", messages=messages, seed=seed) for seed in range(16))
            return await asyncio.gather(*asked)

    answers = asyncio.run(ask_all())
    assert [answer.choices for answer in answers[:4]] == [ask(client, seed=seed).choices for seed in range(4)]


def test_keys_are_wanted_where_there_are_any(locked_address: tuple[Address, str]) -> None:
    address, key = locked_address
    url = f"{address.url}/v1"
    stranger = openai.OpenAI(base_url=url, api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError, match="a key is wanted"):
        stranger.models.list()
    with openai.OpenAI(base_url=url, api_key=key, max_retries=0) as friend:
        assert [model.id for model in friend.models.list()] == ["nano"]
    assert httpx.get(f"{address.url}/health").json() == {"status": "ok", "model": "nano"}
