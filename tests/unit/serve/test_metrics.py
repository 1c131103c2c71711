"""What is counted: a request is one, however many samples it has; samples and tokens add up."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from dunwu.rollout.builtin.batch import Batch
from dunwu.serve.answering import Answerer
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits

from .conftest import run_server

PATH = "/v1/chat/completions"
QUESTION = {"messages": [{"role": "user", "content": "Use 3, 5, 7 once each with + - * / to make 22."}], "seed": 7}


@pytest.fixture
def client(service: GenerationService) -> Iterator[httpx.Client]:
    with run_server(Answerer(service)) as address, httpx.Client(base_url=address.url, timeout=120) as found:
        yield found


def read(client: httpx.Client) -> dict[str, int]:
    lines = client.get("/metrics").text.splitlines()
    pairs = (line.removeprefix("dunwu_").split() for line in lines if not line.startswith("#"))
    return {name.removesuffix("_total"): int(value) for name, value in pairs}


def count_requests(client: httpx.Client) -> tuple[int, int, int]:
    found = read(client)
    return found["requests"], found["requests_cancelled"], found["requests_refused"]


def add_up(client: httpx.Client, service: GenerationService) -> dict[str, int]:
    """Wait until nothing is written any more; then every sample has ended in one way."""
    service.wait_until(lambda: service.decoding == service.waiting == 0)
    found = read(client)
    assert found["samples"] == found["samples_finished"] + found["samples_given_up"]
    assert found["prompt_tokens_reused"] <= found["prompt_tokens"]
    return found


def test_several_choices_are_one_request(client: httpx.Client, service: GenerationService) -> None:
    usage = client.post(PATH, json=QUESTION | {"n": 4}).json()["usage"]
    found = add_up(client, service)
    assert count_requests(client) == (1, 0, 0)
    assert (found["samples"], found["samples_finished"]) == (4, 4)
    assert found["completion_tokens"] == usage["completion_tokens"]
    assert found["prompt_tokens"] == 4 * usage["prompt_tokens"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_vote_of_eight_is_one_request_and_its_usage_has_all_tokens(
    client: httpx.Client, service: GenerationService, stream: bool
) -> None:
    options = {"vote": 8, "vote_confidence": 0.6, "stream": stream, "temperature": 0.0}
    more = {"stream_options": {"include_usage": True}} if stream else {}
    text = client.post(PATH, json=QUESTION | options | more).text
    events = [json.loads(line.removeprefix("data: ")) for line in text.strip().split("\n\n") if "[DONE]" not in line]
    usage = events[-1]["usage"]
    found = add_up(client, service)
    assert count_requests(client) == (1, 0, 0)
    assert 4 <= found["samples"] <= 8
    assert found["completion_tokens"] == usage["completion_tokens"]
    thinking = usage["completion_tokens_details"]["reasoning_tokens"]
    assert usage["completion_tokens"] / 2 < thinking < usage["completion_tokens"], "of all samples, as the tokens are"


@pytest.mark.parametrize("options", [{"n": 4}, {"vote": 8}, {"n": 4, "stream": True}, {"vote": 8, "stream": True}])
def test_a_request_whose_client_leaves_is_one(
    client: httpx.Client, service: GenerationService, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, left, step = threading.Event(), threading.Event(), Batch.step

    def wait_and_step(batch: Batch) -> Any:
        begun.set()
        assert left.wait(60)
        return step(batch)

    monkeypatch.setattr(Batch, "step", wait_and_step)
    body = json.dumps(QUESTION | options).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=60) as connection:
        connection.sendall(head + body)
        assert begun.wait(60)
        service.wait_until(lambda: service.counts.samples == (8 if "vote" in options else 4))
    service.wait_until(lambda: service.counts.given_up > 0)
    left.set()
    found = add_up(client, service)
    assert count_requests(client) == (1, 1, 0)
    assert found["samples_given_up"] == found["samples"] > 0


def _has_waiting(service: GenerationService, count: int) -> bool:
    return service.waiting == count


@pytest.mark.parametrize("options", [{}, {"vote": 2}, {"vote": 2, "stream": True}])
def test_a_refused_request_is_not_taken(
    model: ChatModel, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, step = threading.Event(), Batch.step

    def wait_and_step(batch: Batch) -> Any:
        assert go_on.wait(60)
        return step(batch)

    monkeypatch.setattr(Batch, "step", wait_and_step)
    service = GenerationService(model, ServiceLimits(max_sequences=1, queue=1))
    with run_server(Answerer(service)) as address, httpx.Client(base_url=address.url, timeout=120) as client:
        threads = []
        for waiting in range(2):
            thread = threading.Thread(target=client.post, args=(PATH,), kwargs={"json": QUESTION})
            thread.start()
            service.wait_until(lambda: service.decoding == 1)
            service.wait_until(partial(_has_waiting, service, waiting))
            threads.append(thread)
        assert "1 answer wait already" in client.post(PATH, json=QUESTION | options).text
        assert client.post(PATH, json={"messages": []}).status_code == 400
        assert count_requests(client) == (0, 0, 1)
        go_on.set()
        for thread in threads:
            thread.join(60)
        assert count_requests(client) == (2, 0, 1)
    service.stop(0.0)
