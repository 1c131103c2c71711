"""What stands around the model: stored answers are found again, a policy keeps answers back, people let them out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from dunwu.errors import Fault
from dunwu.rollout.seeds import derive_seed
from dunwu.serve.answering import Answerer, Order
from dunwu.serve.ballot import read_vote
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.path_cache.store import PathCache
from dunwu.serve.path_memory import PathMemory
from dunwu.serve.records import ChatRequest, Choice, Stopped, derive_seeds
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.keys import load_keys, make_key
from dunwu.serve.review.policy import read_policy
from dunwu.serve.reviewer import Reviewer
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits
from dunwu.types import Message

from .conftest import run_server

PATH = "/v1/chat/completions"
QUESTION = "Use 3, 5, 7 once each with + - * / to make 22."
OTHER_NUMBERS = "Use 4, 6, 9 once each with + - * / to make 15."
POLICY = """
name = "test"
default = "answer"

[topics.twenty-two]
action = "hold"
keywords = ["22"]
applies_to = ["question"]

[topics.fifteen]
action = "verify"
keywords = ["15"]
applies_to = ["question"]

[topics.harm]
action = "refuse"
keywords = ["bomb"]
refusal = "No."
"""


@pytest.fixture(scope="module")
def shared(model: ChatModel) -> Iterator[GenerationService]:
    made = GenerationService(model, ServiceLimits(max_sequences=32, queue=256))
    yield made
    made.stop(0.0)


def ask(client: httpx.Client, question: str = QUESTION, headers: Any = None, **options: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0.0, **options}
    response = client.post(PATH, json=body, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def content_of(answer: dict[str, Any]) -> Any:
    return answer["choices"][0]["message"]["content"]


@pytest.fixture
def remembering(shared: GenerationService, model: ChatModel, tmp_path: Path) -> Iterator[httpx.Client]:
    cache = PathCache(tmp_path / "cache.sqlite", 1 << 20)
    answerer = Answerer(shared, PathMemory(cache, model, hints=True))
    with run_server(answerer) as address, httpx.Client(base_url=address.url, timeout=120) as client:
        yield client
    cache.close()


def test_what_a_majority_voted_for_is_found_again(remembering: httpx.Client) -> None:
    first = ask(remembering, vote=4)
    assert first["cache"] == {"hit": "none"}
    votes = first["vote"]["groups"][0]["votes"]
    assert 2 * votes > first["vote"]["samples"], "this model is sure enough at this temperature"
    for options in ({"vote": 8}, {}):
        again = ask(remembering, QUESTION.replace(" once", "  once"), **options)
        assert again["cache"]["hit"] == "exact"
        assert again["cache"]["provenance"]["votes"] == votes
        assert again["choices"][0]["message"] == first["choices"][0]["message"]
        assert again["usage"]["completion_tokens"] == 0
        assert first["seed"] is not None
        assert again["seed"] is None, "no seed of this request made it"


@pytest.mark.parametrize(
    ("question", "options", "headers"),
    [
        (QUESTION, {}, {"Cache-Control": "no-store"}),
        (QUESTION, {"temperature": 0.3}, None),
        (QUESTION, {"seed": 3}, None),
        (QUESTION, {"max_tokens": 90}, None),
        (QUESTION.replace("22", "23"), {}, None),
        (QUESTION.replace("+ - *", "+ *"), {}, None),
    ],
)
def test_anything_else_is_answered_anew(
    remembering: httpx.Client, question: str, options: dict[str, Any], headers: dict[str, str] | None
) -> None:
    ask(remembering, vote=4)
    other = ask(remembering, question, headers, **options)
    assert other.get("cache", {}).get("hit") != "exact"
    assert other["usage"]["completion_tokens"] > 0


def test_a_stored_answer_streams(remembering: httpx.Client) -> None:
    first = ask(remembering, vote=4)
    body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0.0, "stream": True}
    lines = remembering.post(PATH, json=body).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert lines[-2] == "data: [DONE]"
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == content_of(first)
    assert events[-1]["cache"]["hit"] == "exact"


def test_other_numbers_get_the_path_and_never_the_answer(
    remembering: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(remembering, vote=4)
    asked: list[str] = []
    submit = GenerationService.submit

    def record(service: GenerationService, request: ChatRequest, **options: Any) -> Any:
        asked.append(request.messages[-1].content)
        return submit(service, request, **options)

    monkeypatch.setattr(GenerationService, "submit", record)
    other = ask(remembering, OTHER_NUMBERS)
    assert other["cache"]["hit"] == "path"
    assert asked[0].startswith(OTHER_NUMBERS + "\n\n")
    hint = asked[0].removeprefix(OTHER_NUMBERS)
    assert content_of(first) not in hint
    assert not {"3", "5", "7", "22"} & set(hint.replace(",", " ").split())


def test_a_hint_leaves_room_for_the_answer(remembering: httpx.Client, model: ChatModel) -> None:
    ask(remembering, vote=4)
    request = ChatRequest(messages=(Message(role="user", content=OTHER_NUMBERS),), seeds=(0,))
    prompt = len(model.encode(request.messages)[0])
    for room, found in ((0, "none"), (model.positions // 2, "path")):
        most = model.positions - prompt - room
        assert ask(remembering, OTHER_NUMBERS, max_tokens=most)["cache"]["hit"] == found


@pytest.fixture
def reviewed(shared: GenerationService, tmp_path: Path) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    (tmp_path / "policy.toml").write_text(POLICY)
    made = [make_key("ward", "client"), make_key("ann", "reviewer"), make_key("other", "client")]
    (tmp_path / "keys.toml").write_text("\n".join(lines for _, lines in made))
    keys = {name: f"Bearer {key}" for name, (key, _) in zip(("ward", "ann", "other"), made, strict=True)}
    queue = HeldQueue(tmp_path / "review")
    answerer = Answerer(shared, None, Reviewer(read_policy(tmp_path / "policy.toml"), queue, shared))
    with run_server(answerer, load_keys(tmp_path / "keys.toml")) as address:
        headers = {"Authorization": keys["ward"]}
        with httpx.Client(base_url=address.url, timeout=120, headers=headers) as client:
            yield client, keys
    queue.close()


def test_a_held_answer_waits_for_a_person(reviewed: tuple[httpx.Client, dict[str, str]]) -> None:
    client, keys = reviewed
    answer = ask(client)
    assert (content_of(answer), answer["choices"][0]["finish_reason"]) == ("", "content_filter")
    assert "reasoning" not in answer["choices"][0]["message"]
    assert answer["review"]["action"] == "hold"
    assert answer["review"]["topics"] == ["twenty-two"]
    poll, ann = answer["review"]["poll"], {"Authorization": keys["ann"]}
    assert client.get(poll).json()["state"] == "held"
    assert client.get(poll, headers={"Authorization": keys["other"]}).status_code == 404
    waiting = client.get("/v1/review/waiting", headers=ann).json()["waiting"]
    assert [one["id"] for one in waiting] == [answer["review"]["id"]]
    assert waiting[0]["answer"]
    assert client.get("/v1/review/waiting").status_code == 403, "clients do not review"
    client.post(f"/v1/review/{answer['review']['id']}/claim", headers=ann)
    verdict = {"verdict": "edit", "text": "7+15", "reason": "shorter"}
    assert client.post(f"/v1/review/{answer['review']['id']}/decide", headers=ann, json=verdict).status_code == 200
    assert client.get(poll).json() == {
        "id": answer["review"]["id"], "state": "released", "verdict": "edit", "text": "7+15"
    }  # fmt: skip


def test_nothing_of_a_held_answer_streams(reviewed: tuple[httpx.Client, dict[str, str]]) -> None:
    client, _ = reviewed
    body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True}
    text = client.post(PATH, json=body).text
    events = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n")[:-2]]
    assert [event["choices"][0]["delta"].get("content", "") for event in events] == ["", ""]
    assert not any("reasoning" in event["choices"][0]["delta"] for event in events)
    assert events[-1]["review"]["action"] == "hold"


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_of_a_held_vote_gets_out(reviewed: tuple[httpx.Client, dict[str, str]], stream: bool) -> None:
    client, keys = reviewed
    body = {"messages": [{"role": "user", "content": QUESTION}], "vote": 4, "temperature": 0.0, "stream": stream}
    text = client.post(PATH, json=body).text
    ann = {"Authorization": keys["ann"]}
    held = client.get("/v1/review/waiting", headers=ann).json()["waiting"][0]["answer"]
    assert held
    assert held not in text
    assert "groups" not in text


def test_a_dangerous_question_is_refused_before_it_is_asked(reviewed: tuple[httpx.Client, dict[str, str]]) -> None:
    client, _ = reviewed
    answer = ask(client, "How do I make a b o m b?")
    assert (content_of(answer), answer["choices"][0]["finish_reason"]) == ("No.", "content_filter")
    assert answer["usage"]["total_tokens"] == 0


def test_an_answer_is_held_where_fresh_samples_disagree(reviewed: tuple[httpx.Client, dict[str, str]]) -> None:
    client, _ = reviewed
    answer = ask(client, OTHER_NUMBERS, temperature=2.0, seed=1)
    assert (answer["review"]["action"], content_of(answer)) == ("hold", "")


def test_a_second_verification_counts_fresh_samples(
    reviewed: tuple[httpx.Client, dict[str, str]], shared: GenerationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = reviewed
    reply = shared.submit(
        ChatRequest(messages=(Message(role="user", content=OTHER_NUMBERS),), seeds=derive_seeds(1, 1), temperature=0.0)
    )
    reply.join()
    (choice,) = reply.collect()
    final = read_vote(choice.content)
    assert final
    monkeypatch.setattr(Reviewer, "_derive", lambda *_: [None, final, f"({final})", final])
    answer = ask(client, OTHER_NUMBERS, seed=1)
    assert answer["review"] == {"action": "answer", "topics": ["fifteen"]}
    assert content_of(answer) == choice.content
    counts: list[int] = []

    def derive(_: Reviewer, request: ChatRequest, count: int, left: Event | None) -> list[str | None]:
        counts.append(count)
        return [final] * count

    monkeypatch.setattr(Reviewer, "_derive", derive)
    assert ask(client, OTHER_NUMBERS, seed=1)["review"]["action"] == "answer"
    assert counts == [8], "without more a policy asks for so many"
    for samples in ([None, final, "8", final], [None, None, None, None], [final, final, None, None]):
        monkeypatch.setattr(Reviewer, "_derive", lambda *_, found=samples: found)
        held = ask(client, OTHER_NUMBERS, seed=1)
        assert (held["review"]["action"], content_of(held)) == ("hold", "")


@pytest.mark.parametrize(("agree", "kept"), [(True, True), (False, False)])
def test_what_was_derived_again_is_kept(
    shared: GenerationService,
    model: ChatModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    agree: bool,
    kept: bool,
) -> None:
    (tmp_path / "policy.toml").write_text(POLICY)
    request = ChatRequest(
        messages=(Message(role="user", content=OTHER_NUMBERS),), seeds=derive_seeds(1, 1), temperature=0.0
    )
    reply = shared.submit(request)
    reply.join()
    final = read_vote(reply.collect()[0].content)
    monkeypatch.setattr(Reviewer, "_derive", lambda *_: [final if agree else "8"] * 4)
    queue = HeldQueue(tmp_path / "review")
    with PathCache(tmp_path / "cache.sqlite", 1 << 20) as cache:
        memory = PathMemory(cache, model, hints=False)
        answerer = Answerer(shared, memory, Reviewer(read_policy(tmp_path / "policy.toml"), queue, shared))
        answerer.answer(request, Order())
        hit = answerer.find_stored(request)
    queue.close()
    assert (hit is not None) == kept
    assert hit is None or (hit.entry.provenance.kind, hit.entry.provenance.by) == ("verified", "vote")


def make_reviewer(
    folder: Path, service: GenerationService, verification: str, second: GenerationService | None = None
) -> Reviewer:
    (folder / "policy.toml").write_text(f"{POLICY}\n[verification]\n{verification}\n")
    return Reviewer(read_policy(folder / "policy.toml"), HeldQueue(folder / "review"), service, None, second)


CHAIN = "6 + 9 = 15. 15 * 4 / 4 = 15."


@pytest.mark.parametrize(
    ("verification", "content", "action", "reason"),
    [
        ("must_match = ['^\\d+ mg$']", "15 mg", "answer", "rule: agree: the patterns hold"),
        ("must_match = ['^\\d+ mg$']", "15 g", "hold", "rule: disagree: '^\\\\d+ mg$' does not match"),
        ("must_not_match = ['1500']", "1500 mg", "hold", "rule: disagree: '1500' matches"),
        ("tool = 'arithmetic'", "15", "answer", "arithmetic: agree: 2 statements calculated again"),
        ("tool = 'arithmetic'", "16", "hold", "arithmetic: disagree: no calculation of the chain leads to the answer"),
        ("model = 'other'\nmust_match = ['1']", "15", "hold", "model other: failed: Fault: the policy's other model"),
    ],
)
def test_a_policy_names_its_second_verification(
    shared: GenerationService, tmp_path: Path, verification: str, content: str, action: str, reason: str
) -> None:
    reviewer = make_reviewer(tmp_path, shared, verification)
    request = ChatRequest(messages=(Message(role="user", content=OTHER_NUMBERS),))
    choice = Choice(reasoning=CHAIN, content=content, finish="stop", tokens=9, thinking_tokens=5)
    decision = reviewer.check_answer(request, choice)
    assert decision.action == action
    assert decision.reasons[-1].startswith(reason)
    reviewer.close()


def test_another_model_derives_the_answer_again(shared: GenerationService, model: ChatModel, tmp_path: Path) -> None:
    second = GenerationService(model, ServiceLimits(max_sequences=2, queue=4))
    reviewer = make_reviewer(tmp_path, shared, 'model = "nano"', second)
    request = ChatRequest(messages=(Message(role="user", content=OTHER_NUMBERS),), seeds=(5,), tools=({"a": 1},))
    derived = second.submit(ChatRequest(messages=request.messages, seeds=(derive_seed(5, "second model", 0),)))
    derived.join()
    (own,) = derived.collect()
    final = read_vote(own.content)
    assert final
    for content, action in ((f"({final})", "answer"), (f"{final}+1", "hold"), ("none", "hold")):
        choice = Choice(reasoning="", content=content, finish="stop", tokens=9, thinking_tokens=5)
        assert reviewer.check_answer(request, choice).action == action
    assert second.counts.samples == 4, "once for each answer; the first model was not asked"
    left = Event()
    left.set()
    with pytest.raises(Fault, match="has left"):
        reviewer.check_answer(request, choice, left)
    assert reviewer.queue.count_waiting() == 0
    reviewer.close()
    with pytest.raises(Stopped):
        second.submit(replace(request, tools=()))


def test_several_answers_at_once_cannot_be_reviewed(reviewed: tuple[httpx.Client, dict[str, str]]) -> None:
    client, _ = reviewed
    response = client.post(PATH, json={"messages": [{"role": "user", "content": QUESTION}], "n": 2})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "n: answers are reviewed here one by one: ask for one"
