"""An engine whose model is behind a server: what is asked, what becomes of the replies, and how it ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import pytest
from tests.serving import Answer, FakeServer, question, said, serving

from dunwu.config.schema import ServedModel
from dunwu.errors import Fault, UserError
from dunwu.rollout.engine import Sample
from dunwu.rollout.remote import client as endpoint
from dunwu.rollout.remote.engine import EndpointEngine
from dunwu.rollout.remote.request_fields import NEUTRAL
from dunwu.runs.server_records import ServerRecord
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
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "repeat_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "samplers": ["temperature", "top_p"],
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
    found = {sample: done.text for sample, done in engine(server, concurrency=3).generate(requests, Sampling())}
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
    assert len(list(engine(server, concurrency=3).generate([request("a", *range(12))], Sampling()))) == 12
    assert most == 3


USAGE = {"completion_tokens": 3}
PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "So."}, {"type": "text", "text": " Then."}]},
    {"type": "reasoning", "text": ""},
    {"type": "text", "text": "42"},
    {"type": "output_text", "text": "!"},
]


def without_content(finish: str, **message: Any) -> Answer:
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish}
    return 200, {"choices": [choice], "usage": USAGE}


SWITCHES: tuple[Any, ...] = (False, True, 123, {"effort": "high"}, [5])
"""What servers say under the names of reasoning that is none."""
UNUSUAL: list[dict[str, Any]] = [{"text": "42"}, {"delta": {"content": "42"}}, {"message": "42"}]


def in_place_of_a_message(finish: str, **found: Any) -> Answer:
    return 200, {"choices": [{"finish_reason": finish, **found}], "usage": USAGE}


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
        (said("So.\n</think>\n\n42"), "<think>So.\n</think>\n\n42", "stop"),
        (said("", "length", reasoning_content="So"), "<think>So", "length"),
        (said(None, "length", reasoning_content="So"), "<think>So", "length"),
        (without_content("length", reasoning="Hmm 12"), "<think>Hmm 12", "length"),
        (without_content("stop", thinking="Hmm 12"), "<think>Hmm 12</think>", "stop"),
        (without_content("stop"), "", "stop"),
        (without_content("tool_calls", tool_calls=[{"id": "x"}]), "", "stop"),
        (without_content("stop", refusal="I cannot."), "I cannot.", "stop"),
        ((200, {"choices": [{"finish_reason": "content_filter", "index": 0}], "usage": USAGE}), "", "stop"),
        (said(PARTS), "<think>So. Then.</think>42!", "stop"),
        (said(PARTS[:2], "length"), "<think>So. Then.", "length"),
        (said([{"type": "text", "text": "4"}, "2", {"type": "image_url", "image_url": {}}]), "42", "stop"),
        (said([{"type": "refusal", "refusal": "No."}]), "No.", "stop"),
        (said([]), "", "stop"),
        (said("42", reasoning=[{"type": "reasoning.text", "text": "So."}]), "<think>So.</think>42", "stop"),
        (said("42", reasoning="", reasoning_content=None), "42", "stop"),
        *(
            (said("42", **{name: value}), "42", "stop")
            for name in ("thinking", "reasoning_content")
            for value in SWITCHES
        ),
        (said("42", reasoning={"content": "So."}), "<think>So.</think>42", "stop"),
        (said("42", reasoning_details=[{"type": "reasoning.text", "text": "So."}]), "<think>So.</think>42", "stop"),
        (said([{"type": "text", "text": {"value": "42", "annotations": []}}]), "42", "stop"),
        *((in_place_of_a_message("stop", **said), "42", "stop") for said in UNUSUAL),
        *((in_place_of_a_message(reason), "", "length") for reason in ("length", "max_tokens", "MAX_TOKENS")),
        (in_place_of_a_message("SAFETY", message=None), "", "stop"),
        (said("42", "max_tokens"), "42", "length"),
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


@pytest.mark.parametrize("tokens", [None, -1, 10**12, 11, True, "3"])
def test_tokens_that_are_not_counted_are_a_quarter_of_the_bytes(server: FakeServer, tokens: Any) -> None:
    """Nor are more believed than were allowed."""
    server.answer = lambda body: said("123456789", tokens=tokens)
    assert len(only(server, Sampling(max_new_tokens=10)).token_ids) == 3


def test_as_many_tokens_as_the_text_has_bytes_are_believed(server: FakeServer) -> None:
    server.answer = lambda body: said("五五", tokens=6)
    assert len(only(server, Sampling(max_new_tokens=1)).token_ids) == 6


def test_no_reply_takes_much_memory_whatever_it_says(server: FakeServer) -> None:
    server.answer = lambda body: said("x", tokens=10**9)
    assert len(only(server, Sampling(max_new_tokens=10**9)).token_ids) == 2**20


def test_a_stop_string_that_the_server_names_is_put_back(server: FakeServer) -> None:
    choice = {"message": {"content": "<answer>1"}, "finish_reason": "stop", "stop_reason": "</answer>"}
    server.answer = lambda body: (200, {"choices": [choice]})
    assert only(server, Sampling(stop=("</answer>",))).text == "<answer>1</answer>"


def test_a_stop_string_that_the_server_does_not_heed_ends_the_text(server: FakeServer) -> None:
    server.answer = lambda body: said("<answer>1</answer> and on", "length")
    done = only(server, Sampling(stop=("</answer>", "on")))
    assert (done.text, done.finish) == ("<answer>1</answer>", "stop")


def test_a_server_without_seeds_is_asked_without(server: FakeServer) -> None:
    def answer(body: Any) -> Answer:
        return (400, {"error": {"message": "Unknown field: 'seed'"}}) if "seed" in body else said("fine")

    server.answer = answer
    found = list(engine(server, concurrency=1).generate([request("?", 1, 2)], Sampling()))
    assert [done.text for _, done in found] == ["fine", "fine"]
    assert ["seed" in body for body in server.asked] == [True, False, False]


class Strict:
    """A server that takes some fields alone, and says of one that it does not take in its own way."""

    def __init__(self, takes: Collection[str], words: Callable[[list[str]], Any]) -> None:
        self._takes, self._words = {"model", "messages", *takes}, words

    def __call__(self, body: Any) -> Answer:
        wrong = [name for name in body if name not in self._takes]
        return (400, self._words(wrong)) if wrong else said("fine")


OPENAI = ("temperature", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty", "max_tokens")
REASONING = ("seed", "max_completion_tokens")
WORDS: dict[str, Callable[[list[str]], Any]] = {
    "one by one": lambda wrong: {"error": {"message": f"Unknown parameter: '{wrong[0]}'.", "param": wrong[0]}},
    "all at once": lambda wrong: {"error": {"message": f"Unrecognized arguments supplied: {', '.join(wrong)}"}},
    "by place": lambda wrong: {"detail": [{"loc": ["body", name], "msg": "Extra inputs"} for name in wrong]},
    "in camel case": lambda wrong: {"error": "unknown " + re.sub("_(.)", lambda m: m[1].upper(), wrong[0])},
}


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("takes", [OPENAI, REASONING, ("max_tokens",), (*OPENAI, "top_k", "min_p", "repeat_penalty")])
def test_a_server_is_asked_without_what_it_refuses(server: FakeServer, takes: Collection[str], words: str) -> None:
    server.answer = Strict(takes, WORDS[words])
    asking = engine(server, concurrency=1)
    sampling = Sampling(temperature=0.6, top_p=0.95, max_new_tokens=77, stop=("END",))
    assert [done.text for _, done in asking.generate([request("?", 1, 2)], sampling)] == ["fine"] * 2
    everything = {*OPENAI, *NEUTRAL}
    refused = everything - set(takes)
    assert len(server.asked) == len(refused) + 2, "each was refused once"
    record = asking.record
    assert record is not None
    assert record.refused.keys() == refused
    assert set(record.sent) == everything & set(takes) | {one for one in takes if one == "max_completion_tokens"}
    assert record.sent.get("seed", "of each sample") == "of each sample"
    assert all(record.refused.values())


def test_where_two_fields_exclude_each_other_the_temperature_stays(server: FakeServer) -> None:
    told = "`temperature` and `top_p` cannot both be specified for this model."
    server.answer = lambda body: (400, {"error": {"message": told}}) if "top_p" in body else said("fine")
    asking = engine(server)
    list(asking.generate([request("?", 1)], Sampling(temperature=0.6, top_p=0.95)))
    assert asking.record is not None
    assert asking.record.sent["temperature"] == 0.6
    assert asking.record.refused == {"top_p": told}


@pytest.mark.parametrize("refusal", [(400, {}), (422, {"error": "bad request"}), (400, None)])
def test_a_refusal_that_names_nothing_may_be_of_what_is_not_of_openai(server: FakeServer, refusal: Answer) -> None:
    server.answer = lambda body: refusal if "top_k" in body else said("fine")
    asking = engine(server, concurrency=1)
    assert len(list(asking.generate([request("?", 1, 2)], Sampling()))) == 2
    assert len(server.asked) == 3
    assert asking.record is not None
    assert asking.record.refused.keys() == NEUTRAL.keys()


def test_a_refusal_after_an_answer_is_not_of_the_fields(server: FakeServer) -> None:
    """Which the server has taken: a question that is too long, say."""
    server.answer = lambda body: said("fine") if len(server.asked) == 1 else (400, {"error": "context length"})
    asking = engine(server, concurrency=1)
    with pytest.raises(UserError, match="refuses: 400 Bad Request: context length"):
        list(asking.generate([request("?", 1, 2)], Sampling()))
    assert len(server.asked) == 2
    assert asking.record is not None
    assert asking.record.refused == {}


def test_what_a_refusal_repeats_of_the_question_is_not_what_it_names(server: FakeServer) -> None:
    detail = [{"loc": ["body", "top_k"], "msg": "Extra inputs", "input": {"messages": "What temperature has a seed?"}}]
    server.answer = lambda body: (422, {"detail": detail}) if "top_k" in body else said("fine")
    asking = engine(server)
    list(asking.generate([request("What temperature has a seed?", 1)], Sampling()))
    assert asking.record is not None
    assert asking.record.refused == {"top_k": "Extra inputs"}


def test_threads_learn_from_each_other_s_refusals(server: FakeServer) -> None:
    server.answer = Strict(REASONING, WORDS["one by one"])
    asking = engine(server, concurrency=8)
    assert len(list(asking.generate([request("?", *range(40))], Sampling()))) == 40
    assert asking.record is not None
    assert asking.record.refused.keys() == {*OPENAI, *NEUTRAL} - {"stop", *REASONING}


def test_a_record_says_what_was_sent_and_what_the_server_calls_itself(server: FakeServer) -> None:
    says = {"model": "m-2026", "system_fingerprint": "b1"}
    server.answer = lambda body: (200, {"choices": [{"message": {"content": "fine"}}], "id": "x", **says})
    asking = engine(server)
    assert asking.record is None
    list(asking.generate([request("?", 1)], Sampling(temperature=0.6, top_p=0.95, max_new_tokens=9)))
    sent = {"temperature": 0.6, "top_p": 0.95, **NEUTRAL, "max_tokens": 9, "seed": "of each sample"}
    assert asking.record == ServerRecord(sent=sent, refused={}, says=says)


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
        (200, {"choices": [{"message": {"content": [5]}}]}),
        (200, {"choices": {"message": "x"}}),
        (200, {"error": {"message": "overloaded", "code": 503}}),
        (200, {"choices": [{"finish_reason": "stop"}]}),
        (200, {"choices": [{"message": None, "finish_reason": "tool_calls"}]}),
        (200, {"choices": [{"output": "4", "finish_reason": "stop"}]}),
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
        found.extend(engine(server, concurrency=2).generate([request("a", *range(200))], Sampling()))
    assert 4 <= len(found) <= 5
    assert len(server.asked) < 20


def test_who_is_not_there_cannot_be_reached(server: FakeServer) -> None:
    engine(server).reach()  # it says 404 to whoever asks for its models, and is there
    with serving(lambda body: said("")) as gone:
        left = engine(gone)
    with pytest.raises(UserError, match=r"server: http://127\.0\.0\.1:\d+/v1 cannot be reached"):
        left.reach()
