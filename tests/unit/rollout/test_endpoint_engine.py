"""An engine whose model is behind a server: what is asked, what becomes of the replies, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.serving import Answer, FakeServer, question, said, serving

from dunwu import endpoint
from dunwu.config.schema import ServedModel
from dunwu.errors import Fault, UserError
from dunwu.rollout.endpoint_engine import EndpointEngine
from dunwu.rollout.engine import Sample
from dunwu.types import Completion, GenerationRequest, Message, Problem, Prompt, Sampling


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setattr(endpoint, "PATIENCE", (0.0,))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(lambda body: said("hello")) as server:
        yield server


def engine(server: FakeServer, **fields: Any) -> EndpointEngine:
    return EndpointEngine(ServedModel.model_validate({"url": server.url, "model": "m"} | fields), "server")


def request(text: str, *seeds: int) -> GenerationRequest:
    problem = Problem(
        id=text,
        task="t",
        kind="math",
        level=0,
        language="en",
        messages=(Message(role="system", content="Be brief."), Message(role="user", content=text)),
        gold="1",
    )
    return GenerationRequest(prompt=Prompt(problem=problem, token_ids=np.zeros(0, np.int32)), seeds=seeds)


def only(server: FakeServer, sampling: Sampling = Sampling()) -> Completion:  # noqa: B008 -- a constant
    ((sample, completion),) = engine(server).generate([request("?", 1)], sampling)
    assert sample == Sample(0, 0)
    return completion


def test_what_is_asked(server: FakeServer) -> None:
    sampling = Sampling(temperature=0.6, top_p=0.95, max_new_tokens=77, stop=("END",))
    list(engine(server).generate([request("二加三 = ?", 2**62 + 5)], sampling))
    assert server.asked == [
        {
            "model": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "二加三 = ?"}],
            "temperature": 0.6,
            "top_p": 0.95,
            "max_tokens": 77,
            "stop": ["END"],
            "seed": 5,
        }
    ]


def test_every_sample_has_its_own_answer_whatever_comes_first(server: FakeServer) -> None:
    def answer(body: Any) -> Answer:
        time.sleep(0.03 if body["seed"] == 1 else 0.0)
        return said(f"{question(body)} {body['seed']}")

    server.answer = answer
    requests = [request("a", 1, 2), request("b", 3)]
    found = {sample: done.text for sample, done in engine(server, at_once=3).generate(requests, Sampling())}
    assert found == {Sample(0, 0): "a 1", Sample(0, 1): "a 2", Sample(1, 0): "b 3"}
    assert all("stop" not in body for body in server.asked)


def test_so_many_are_asked_at_once(server: FakeServer) -> None:
    together, most, lock = 0, 0, threading.Lock()

    def answer(body: Any) -> Answer:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.02)
        with lock:
            together -= 1
        return said("x")

    server.answer = answer
    assert len(list(engine(server, at_once=3).generate([request("a", *range(12))], Sampling()))) == 12
    assert most == 3


@pytest.mark.parametrize(
    ("reply", "text", "finish"),
    [
        (said("done"), "done", "stop"),
        (said("cut", "length"), "cut", "length"),
        (said("x", "content_filter"), "x", "stop"),
        (said(None), "", "stop"),
        (said("42", reasoning_content="So."), "<think>So.</think>42", "stop"),
        (said("42", reasoning="So."), "<think>So.</think>42", "stop"),
        (said("<think>So.</think>42", reasoning_content="So."), "<think>So.</think>42", "stop"),
        (said("", "length", reasoning_content="So"), "<think>So", "length"),
        (said(None, "length", reasoning_content="So"), "<think>So", "length"),
        (said("half \ud83d"), "half ?", "stop"),
    ],
)
def test_a_reply_becomes_a_completion(server: FakeServer, reply: Answer, text: str, finish: str) -> None:
    server.answer = lambda body: reply
    done = only(server)
    assert (done.text, done.finish, done.policy_version) == (text, finish, 0)
    assert done.token_ids.tolist() == [-1] * 3
    assert done.logprobs.dtype == np.float32
    assert np.isnan(done.logprobs).all()


@pytest.mark.parametrize("tokens", [None, -1, 10**12, True, "3"])
def test_tokens_that_are_not_counted_are_a_quarter_of_the_bytes(server: FakeServer, tokens: Any) -> None:
    server.answer = lambda body: said("123456789", tokens=tokens)
    assert len(only(server).token_ids) == 3


def test_a_stop_string_that_the_server_names_is_put_back(server: FakeServer) -> None:
    choice = {"message": {"content": "<answer>1"}, "finish_reason": "stop", "stop_reason": "</answer>"}
    server.answer = lambda body: (200, {"choices": [choice]})
    assert only(server, Sampling(stop=("</answer>",))).text == "<answer>1</answer>"


def test_a_server_without_seeds_is_asked_without(server: FakeServer) -> None:
    def answer(body: Any) -> Answer:
        return (400, {"error": {"message": "Unknown field: 'seed'"}}) if "seed" in body else said("fine")

    server.answer = answer
    found = list(engine(server, at_once=1).generate([request("?", 1, 2)], Sampling()))
    assert [done.text for _, done in found] == ["fine", "fine"]
    assert ["seed" in body for body in server.asked] == [True, False, False]


def test_a_refusal_is_the_user_s_in_the_server_s_words(server: FakeServer) -> None:
    server.answer = lambda body: (404, {"error": {"message": "no model \x1b[2J'm'"}})
    with pytest.raises(UserError, match=r"server\.url: http://.* refuses: 404 Not Found: no model \[2J'm'$"):
        only(server)


@pytest.mark.parametrize(
    "reply",
    [
        (200, None),
        (200, []),
        (200, {"choices": []}),
        (200, {"choices": ["x"]}),
        (200, {"choices": [{"message": None}]}),
        (200, {"choices": [{"message": {}}]}),
        (200, {"choices": [{"message": {"content": ["a"]}}]}),
        (200, {"choices": [{"message": {"content": "a", "reasoning_content": 5}}]}),
        (503, {}),
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
        b"",
    ],
)
def test_what_is_no_answer_after_some_tries_is_a_fault(server: FakeServer, reply: Answer) -> None:
    server.answer = lambda body: reply
    with pytest.raises(Fault, match="gives no answer after 2 tries: "):
        only(server)
    assert len(server.asked) == 2


def test_the_first_error_ends_it(server: FakeServer) -> None:
    def answer(body: Any) -> Answer:
        return said("x") if len(server.asked) <= 5 else (503, {})

    server.answer = answer
    found = list[tuple[Sample, Completion]]()
    with pytest.raises(Fault):
        found.extend(engine(server, at_once=2).generate([request("a", *range(200))], Sampling()))
    assert 4 <= len(found) <= 5
    assert len(server.asked) < 20


def test_who_is_not_there_cannot_be_reached(server: FakeServer) -> None:
    engine(server).reach()  # it says 404 to whoever asks for its models, and is there
    with serving(lambda body: said("")) as gone:
        left = engine(gone)
    with pytest.raises(UserError, match=r"server: http://127\.0\.0\.1:\d+/v1 cannot be reached"):
        left.reach()
