"""Answers that a guide chooses, over HTTP: what it chose is known, what it took adds up, errors are a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from dunwu.serve.answering import Answerer
from dunwu.serve.ballot import read_vote
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.guided import SearchLimits, search
from dunwu.serve.guides import Draft
from dunwu.serve.path_cache.store import PathCache
from dunwu.serve.path_memory import PathMemory
from dunwu.serve.records import ChatRequest, derive_seeds
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.keys import load_keys, make_key
from dunwu.serve.review.policy import read_policy
from dunwu.serve.reviewer import Reviewer
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits
from dunwu.types import Message
from dunwu.verifiers.math.answers import make_key as make_answer_key

from .conftest import Address, run_server

PATH = "/v1/chat/completions"
QUESTION = "Use 3, 5, 7 once each with + - * / to make 22."
BODY = {"messages": [{"role": "user", "content": QUESTION}], "seed": 3, "temperature": 1.0}
SAMPLES = 8
SCHEMA = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
FORM = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
HOLD = """
name = "test"
default = "answer"

[topics.twenty-two]
action = "hold"
keywords = ["22"]
applies_to = ["question"]
"""


class ScriptedGuide:
    """Scores drafts as a test says, and keeps what it was shown."""

    def __init__(self) -> None:
        self.by: Callable[[Draft], float] = lambda draft: len(draft.text)
        self.seen: list[Draft] = []

    def score(self, messages: Sequence[Message], drafts: Sequence[Draft]) -> list[float]:
        """See ``Guide``."""
        assert messages[-1].content == QUESTION
        self.seen += drafts
        return [self.by(draft) for draft in drafts]


@pytest.fixture(scope="module")
def shared(model: ChatModel) -> Iterator[GenerationService]:
    made = GenerationService(model, ServiceLimits(max_sequences=32, queue=256))
    yield made
    made.stop(0.0)


@pytest.fixture(scope="module")
def scripted() -> ScriptedGuide:
    return ScriptedGuide()


def open_client(address: Address) -> httpx.Client:
    return httpx.Client(base_url=address.url, timeout=120)


@pytest.fixture(scope="module")
def running(shared: GenerationService, scripted: ScriptedGuide) -> Iterator[httpx.Client]:
    with run_server(Answerer(shared, guide=scripted)) as address, open_client(address) as client:
        yield client


@pytest.fixture
def client(running: httpx.Client, scripted: ScriptedGuide) -> httpx.Client:
    scripted.by, scripted.seen = lambda draft: len(draft.text), []
    return running


def ask(client: httpx.Client, **options: Any) -> dict[str, Any]:
    response = client.post(PATH, json=BODY | options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def message_of(answer: dict[str, Any]) -> Any:
    return answer["choices"][0]["message"]


def stream(client: httpx.Client, **options: Any) -> list[dict[str, Any]]:
    lines = client.post(PATH, json=BODY | {"stream": True} | options).text.split("\n\n")
    assert lines[-2] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def test_the_best_of_n_is_the_one_that_the_guide_likes(client: httpx.Client, scripted: ScriptedGuide) -> None:
    samples = [choice["message"] for choice in ask(client, n=SAMPLES)["choices"]]
    tokens = [ask(client, n=count)["usage"]["completion_tokens"] for count in range(1, SAMPLES + 1)]
    own = [tokens[0], *(later - before for before, later in pairwise(tokens))]
    answer = ask(client, best_of=SAMPLES)
    texts = [draft.text for draft in scripted.seen]
    best = texts.index(max(texts, key=len))
    assert len(texts) == SAMPLES
    assert message_of(answer) == samples[best]
    assert answer["usage"]["completion_tokens"] == tokens[-1]
    assert answer["guidance"] == {
        "method": "best_of",
        "score": len(texts[best]),
        "share": round(1 - own[best] / tokens[-1], 6),
        "choices": 1,
    }
    scripted.by = lambda draft: -len(draft.text)
    shortest = ask(client, best_of=SAMPLES)
    assert shortest["guidance"]["score"] == -min(map(len, texts))
    assert message_of(shortest) != message_of(answer)


def test_weights_change_the_winner_and_add_up(client: httpx.Client, scripted: ScriptedGuide) -> None:
    plain = ask(client, vote=SAMPLES, temperature=1.5)
    majority, *others = plain["vote"]["groups"]
    assert majority["votes"] > others[0]["votes"]
    assert "weighted" in plain["vote"]
    assert not plain["vote"]["weighted"]
    rare = make_answer_key(others[-1]["answer"])
    scripted.by = lambda draft: 0.9 if make_answer_key(read_vote(draft.answer or "") or "") == rare else 0.001
    answer = ask(client, vote=SAMPLES, vote_weighted=True, temperature=1.5)
    vote = answer["vote"]
    assert (vote["samples"], vote["weighted"]) == (SAMPLES, True), "any lead may be overturned, so all are asked"
    first, *rest = vote["groups"]
    assert first["answer"] == others[-1]["answer"]
    assert first["weight"] == pytest.approx(0.9 * first["votes"])
    assert [group["weight"] for group in rest] == pytest.approx([0.001 * group["votes"] for group in rest])
    assert read_vote(message_of(answer)["content"]) == first["answer"]
    for draft in scripted.seen:
        assert ("<think>" in draft.text) == bool(draft.reasoning), "the chain is read with the answer"
        assert draft.reasoning in draft.text
        assert (draft.answer or "") in draft.text
        assert draft.finish is not None
    scripted.by = lambda _: 0.5
    even = ask(client, vote=SAMPLES, vote_weighted=True, temperature=1.5)
    assert even["vote"]["groups"][0]["answer"] == majority["answer"]
    scripted.by = lambda _: -1.0
    none = ask(client, vote=SAMPLES, vote_weighted=True, temperature=1.5)
    assert {group["weight"] for group in none["vote"]["groups"]} == {0.0}


def test_a_guided_answer_is_that_of_the_search(
    client: httpx.Client, shared: GenerationService, scripted: ScriptedGuide
) -> None:
    scripted.by = lambda draft: draft.text.count("5")
    request = ChatRequest(messages=(Message(role="user", content=QUESTION),), seeds=derive_seeds(3, 1), top_p=0.9)
    for asked, limits in (
        (True, SearchLimits()),
        ({}, SearchLimits()),
        (
            {"width": 3, "beams": 2, "sure": 0.5, "step_tokens": 9},
            SearchLimits(width=3, beams=2, sure=0.5, step_tokens=9),
        ),
    ):
        found = search(shared, request, scripted, limits)
        answer = ask(client, guided=asked, top_p=0.9)
        assert message_of(answer)["content"] == found.chosen.content
        assert message_of(answer)["reasoning"] == found.chosen.reasoning
        assert answer["usage"]["completion_tokens"] == found.tokens
        share = round(1 - len(found.chosen.token_ids) / found.tokens, 6)
        expected = {"method": "guided", "score": found.score, "share": share, "choices": found.choices}
        assert answer["guidance"] == expected
        assert 0 < share < 1
    assert "guidance" not in ask(client, guided=False)


def test_the_same_seed_gives_the_same_answer_whoever_else_asks(client: httpx.Client) -> None:
    asked: list[dict[str, Any]] = [{"guided": {"width": 3}}, {"best_of": 4}, {"vote": 4, "vote_weighted": True}]
    kept = ("choices", "usage", "vote", "guidance")

    def run(options: dict[str, Any]) -> list[Any]:
        answer = ask(client, **options)
        return [answer.get(field) for field in kept]

    alone = [run(one) for one in asked]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(run, asked * 4)) == alone * 4


@pytest.mark.parametrize(
    ("options", "field"),
    [({"best_of": 4}, "best_of"), ({"guided": {}}, "guided"), ({"vote": 4, "vote_weighted": True}, "vote_weighted")],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_without_a_guide_each_is_a_400_that_names_the_option(
    address: Address, options: dict[str, Any], field: str, streamed: bool
) -> None:
    response = httpx.post(f"{address.url}{PATH}", json=BODY | options | {"stream": streamed}, timeout=120)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["message"] == f"{field}: there is no guide here: start with --guide GUIDE"
    assert error["param"] == field


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"best_of": 5}, "best_of: 5 answers are more than the 4 that may wait"),
        ({"guided": {"width": 6}}, "guided.width: 5 answers are more than the 4 that may wait"),
        ({"n": 5}, "n: 5 answers are more than the 4 that may wait"),
        ({"vote": 5}, None),
        ({"best_of": 4}, None),
        ({"guided": {"width": 5}}, None),
    ],
)
def test_more_than_may_wait_names_what_asked_for_it(
    model: ChatModel, scripted: ScriptedGuide, options: dict[str, Any], message: str | None, streamed: bool
) -> None:
    scripted.by = lambda draft: len(draft.text)
    service = GenerationService(model, ServiceLimits(max_sequences=4, queue=4))
    with run_server(Answerer(service, guide=scripted)) as address, open_client(address) as client:
        response = client.post(PATH, json=BODY | options | {"stream": streamed, "max_tokens": 20})
    service.stop(0.0)
    assert response.status_code == (400 if message else 200)
    assert not message or response.json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('"guided": {"width": 0}', "guided.width: input should be greater than or equal to 1"),
        ('"guided": {"width": 1000000000}', "guided.width: input should be less than or equal to 64"),
        ('"guided": {"width": NaN}', "guided.width: input should be a finite number"),
        ('"guided": {"sure": NaN}', "guided.sure: input should be a finite number"),
        ('"guided": {"sure": 0}', "guided.sure: input should be greater than 0"),
        ('"guided": {"sure": 1e99}', "guided.sure: input should be less than or equal to 1"),
        ('"guided": {"beams": 1000000000}', "guided.beams: input should be less than or equal to 16"),
        ('"guided": {"step_tokens": 0}', "guided.step_tokens: input should be greater than or equal to 1"),
        ('"guided": {"depth": 1}', "guided.depth: no such field"),
        ('"guided": 4', "guided: input should be"),
        ('"guided": {}, "n": 2', "guided makes one answer of many, and n asks for more"),
        ('"guided": {}, "vote": 4', "vote and guided are two ways to one answer"),
        ('"guided": {}, "best_of": 4', "best_of and guided are two ways to one answer"),
        ('"guided": {}, "logprobs": true', "guided writes what no sampling has drawn: it has no logprobs"),
        (
            '"guided": {}, "response_format": {"type": "json_object"}',
            "guided writes step by step, and a form or a call is of",
        ),
        (
            '"response_format": {"type": "text"}, "structured_outputs": {"regex": "a"}, "guided": {}',
            "a form or a call is of",
        ),
        (
            '"guided": {}, "structured_outputs": {"regex": "a"}',
            "guided writes step by step, and a form or a call is of",
        ),
        ('"best_of": 1', "best_of: input should be greater than or equal to 2"),
        ('"best_of": 1000000000', "best_of: input should be less than or equal to 128"),
        ('"best_of": NaN', "best_of: input should be a finite number"),
        ('"best_of": 4, "vote": 4', "vote and best_of are two ways to one answer"),
        ('"best_of": 4, "n": 2', "best_of makes one answer of many, and n asks for more"),
        ('"vote_weighted": true', "vote_weighted takes vote"),
        ('"vote": 4, "vote_weighted": true, "vote_confidence": 0.9', "vote_confidence counts votes, and vote_weighted"),
        ('"vote_weighted": NaN', "vote_weighted: input should be a valid boolean"),
    ],
)
def test_what_is_wrong_is_a_400_in_a_line(client: httpx.Client, options: str, message: str) -> None:
    content = f"{json.dumps(BODY)[:-1]}, {options}}}"
    response = client.post(PATH, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text
    assert message in response.json()["error"]["message"]
    assert "\n" not in response.json()["error"]["message"]


@pytest.mark.parametrize("options", [{"best_of": 4}, {"vote": 4, "vote_weighted": True}])
def test_a_form_holds_for_what_is_chosen_among(
    client: httpx.Client, scripted: ScriptedGuide, options: dict[str, Any]
) -> None:
    answer = ask(client, response_format=FORM, **options)
    assert len(scripted.seen) == 4
    assert {json.dumps(json.loads(draft.answer or "")) for draft in scripted.seen} <= {'{"n": 1}', '{"n": 2}'}
    assert json.loads(message_of(answer)["content"]) in ({"n": 1}, {"n": 2})


@pytest.mark.parametrize("options", [{"best_of": 4}, {"guided": {}}, {"vote": 4, "vote_weighted": True}])
def test_the_answer_streams_whole_and_says_what_it_took(client: httpx.Client, options: dict[str, Any]) -> None:
    whole = ask(client, **options)
    *before, last, usage = stream(client, stream_options={"include_usage": True}, **options)
    assert last["choices"][0]["delta"]["content"] == message_of(whole)["content"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert (last.get("guidance"), last.get("vote")) == (whole.get("guidance"), whole.get("vote"))
    assert last.keys() & {"guidance", "vote"} == ({"vote"} if "vote" in options else {"guidance"})
    assert usage["usage"] == whole["usage"]
    standing = [event["vote"]["samples"] for event in before if "vote" in event]
    assert standing == ([1, 2, 3, 4] if "vote" in options else [])
    assert "".join(one["delta"].get("content", "") for event in before for one in event["choices"]) == ""


@pytest.mark.parametrize("options", [{"best_of": 128}, {"guided": {"width": 64, "beams": 16, "sure": 1.0}}])
def test_who_leaves_frees_the_rows(
    client: httpx.Client, shared: GenerationService, scripted: ScriptedGuide, options: dict[str, Any]
) -> None:
    before = shared.counts.samples
    body = BODY | {"stream": True, "temperature": 2.0} | options
    with client.stream("POST", PATH, json=body) as response:
        shared.wait_until(lambda: shared.counts.samples > before)
        assert response.status_code == 200
    shared.wait_until(lambda: shared.decoding == 0 and shared.waiting == 0)
    assert not any(draft.finish == "stop" for draft in scripted.seen[:-1]), "no answer came to its end"


def test_a_vote_by_weight_is_kept_where_it_has_the_majority_too(
    shared: GenerationService, model: ChatModel, scripted: ScriptedGuide, tmp_path: Path
) -> None:
    scripted.by = lambda draft: len(draft.text)
    cache = PathCache(tmp_path / "cache.sqlite", 1 << 20)
    body = {"temperature": 0.0, "seed": None}
    answerer = Answerer(shared, PathMemory(cache, model, hints=False), guide=scripted)
    with run_server(answerer) as address, open_client(address) as client:
        assert ask(client, best_of=2, **body)["cache"] == {"hit": "none"}
        assert ask(client, guided={}, **body)["cache"] == {"hit": "none"}, "what a guide took is not kept"
        voted = ask(client, vote=4, vote_weighted=True, **body)
        assert voted["cache"] == {"hit": "none"}
        again = ask(client, best_of=2, **body)
        assert again["cache"]["hit"] == "exact"
        assert again["cache"]["provenance"]["votes"] == voted["vote"]["groups"][0]["votes"]
        assert message_of(again) == message_of(voted)
        assert "guidance" not in again
    cache.close()


@pytest.mark.parametrize("options", [{"best_of": 4}, {"guided": {}}, {"vote": 4, "vote_weighted": True}])
@pytest.mark.parametrize("streamed", [False, True])
def test_nothing_of_a_held_answer_gets_out(
    shared: GenerationService, scripted: ScriptedGuide, tmp_path: Path, options: dict[str, Any], streamed: bool
) -> None:
    scripted.by = lambda draft: len(draft.text)
    (tmp_path / "policy.toml").write_text(HOLD)
    (ward, ward_lines), (ann, ann_lines) = make_key("ward", "client"), make_key("ann", "reviewer")
    (tmp_path / "keys.toml").write_text(f"{ward_lines}\n{ann_lines}")
    queue = HeldQueue(tmp_path / "review")
    answerer = Answerer(shared, None, Reviewer(read_policy(tmp_path / "policy.toml"), queue, shared), scripted)
    with run_server(answerer, load_keys(tmp_path / "keys.toml")) as address, open_client(address) as client:
        body = BODY | options | {"stream": streamed}
        text = client.post(PATH, json=body, headers={"Authorization": f"Bearer {ward}"}).text
        waiting = client.get("/v1/review/waiting", headers={"Authorization": f"Bearer {ann}"}).json()["waiting"]
    queue.close()
    assert '"action":"hold"' in text
    assert "guidance" not in text
    assert "groups" not in text
    assert waiting[0]["answer"]
    assert waiting[0]["answer"] not in text
