"""Raw HTTP of clients that mean harm, or know no better: one clear line, a bound on memory, nobody else disturbed."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dunwu.serve.http import guard
from dunwu.serve.service import GenerationService

from .conftest import Address

QUESTION = "Use 3, 5, 7 once each with + - * / to make 22."
BODY = {"messages": [{"role": "user", "content": QUESTION}], "seed": 7}
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def http(address: Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def expected(http: httpx.Client) -> list[dict[str, Any]]:
    """What an honest client gets, whoever else is there."""
    return choices_of(http.post(PATH, json=BODY))


def choices_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    choices: list[dict[str, Any]] = response.json()["choices"]
    return choices


def error_of(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    assert len(error["message"]) < 500
    return str(error["message"])


def send_raw(address: Address, content: bytes, *, half_close: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", address.port), timeout=60) as connection:
        connection.sendall(content)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
            if b"\r\n\r\n" in received and b"Transfer" not in received:
                break
        return received


def head_of(length: int, more: str = "") -> bytes:
    lines = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}"
    return f"{lines}Content-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the body is no JSON: EOF while parsing"),
        (b"{", 400, "the body is no JSON: EOF while parsing an object at line 1 column 1"),
        (b"[]", 400, "input should be an object"),
        (b"null", 400, "input should be an object"),
        (b'{"messages": []}', 400, "messages: list should have at least 1 item"),
        (b'{"messages": "hi"}', 400, "messages: input should be a valid array"),
        (b'{"messages": [{"role": "king", "content": "x"}]}', 400, "messages.0.role: input should be 'system'"),
        (b'{"messages": [{"role": "user", "content": 5}]}', 400, "messages.0.content: input should be a valid string"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', 400, "messages.0.content"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400, "the body is no JSON: "),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 1e99}', 400, "n: "),
        (
            b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
            400,
            "temperature: input should be a finite number",
        ),
        (b'{"messages": [{"role": "user", "content": "x"}], "seed": 99999999999999999999999}', 400, "seed: "),
        (b"\xff\xfe\x00", 400, "the body is no JSON"),
        (b"[" * 100_000, 400, "the body is no JSON: recursion limit exceeded"),
        (b'{"a":' * 50_000, 400, "the body is no JSON: recursion limit exceeded"),
    ],
)
def test_wrong_bodies(http: httpx.Client, body: bytes, status: int, message: str) -> None:
    response = http.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert message in error_of(response)


def test_a_long_list_of_errors_is_one_line(http: httpx.Client) -> None:
    body = {**BODY, **{f"field{number}" * 50: number for number in range(2000)}}
    response = http.post(PATH, json=body)
    assert response.status_code == 400
    assert "no such field" in error_of(response)


def test_large_bodies_are_refused_before_they_are_held(http: httpx.Client, address: Address) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    body = json.dumps({"messages": [{"role": "user", "content": "1 " * (5 << 20)}]}).encode()
    assert len(body) > 10 << 20
    response = http.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, error_of(response)) == (413, "the body has more than 4 MiB")

    def parts() -> Iterator[bytes]:
        yield from (b" " * 65536 for _ in range(160))

    response = http.post(PATH, content=parts(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413, "also where no length was announced"
    announced = send_raw(address, head_of(10**15))
    assert announced.startswith(b"HTTP/1.1 413")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 100, "mebibytes, of which the client here has a good part"


def test_a_prompt_that_is_too_long_for_the_model(http: httpx.Client) -> None:
    response = http.post(PATH, json={"messages": [{"role": "user", "content": "1 " * (1 << 20)}]})
    assert response.status_code == 400
    assert "and the model has 1,024 positions" in error_of(response)
    special = http.post(PATH, json={"messages": [{"role": "user", "content": "<|pad|>" * 500_000}]})
    assert (special.status_code, "3,500,000 bytes" in error_of(special)) == (400, True)


def test_ten_thousand_headers(address: Address) -> None:
    more = "".join(f"X-Header-{number}: {number}\r\n" for number in range(10_000))
    assert send_raw(address, head_of(0, more)).startswith(b"HTTP/1.1 4")


def test_what_is_no_http(address: Address) -> None:
    assert send_raw(address, b"\x16\x03\x01\x02\x00 hello\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_a_slow_body_is_given_up(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LIMITS", guard.BodyLimits(bytes=1000, seconds=0.2))
    received = send_raw(address, head_of(100) + b'{"mess')
    assert received.startswith(b"HTTP/1.1 408")
    assert b"the body took more than 0.2 s" in received


def test_a_body_that_breaks_off(address: Address, http: httpx.Client, expected: list[dict[str, Any]]) -> None:
    send_raw(address, head_of(1000) + b'{"messages"', half_close=True)
    assert choices_of(http.post(PATH, json=BODY)) == expected


def test_a_client_that_half_closes_after_its_request(
    address: Address, http_service: GenerationService, http: httpx.Client, expected: list[dict[str, Any]]
) -> None:
    body = json.dumps({**BODY, "stream": True, "n": 32}).encode()
    send_raw(address, head_of(len(body)) + body, half_close=True)
    http_service.wait_until(lambda: http_service.decoding == 0)
    assert choices_of(http.post(PATH, json=BODY)) == expected


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"Host": "evil.example"}, 400, "names of this machine's loopback only"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "another site may not ask here"),
        ({"Content-Type": "text/plain"}, 415, "application/json is wanted"),
    ],
)
def test_requests_from_elsewhere(http: httpx.Client, headers: dict[str, str], status: int, message: str) -> None:
    response = http.post(PATH, content=json.dumps(BODY), headers={"Content-Type": "application/json"} | headers)
    assert response.status_code == status
    assert message in error_of(response)
    assert "access-control-allow-origin" not in response.headers


def test_addresses_and_methods_that_are_none(http: httpx.Client) -> None:
    assert http.get("/v2").status_code == 404
    assert error_of(http.get("/v2")) == "not found"
    assert http.get(PATH).status_code == 405
    assert error_of(http.delete(PATH)) == "method not allowed"


@pytest.mark.parametrize("path", ["/health", "/metrics", "/v1/models", "/v1/models/nano", "/", "/nothing", PATH])
def test_head_is_get_without_a_body(http: httpx.Client, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    assert (head.content, bool(get.content)) == (b"", True)
    assert http.head(path).status_code == head.status_code, "no byte of a body stays on the connection"


SPECIAL = "<|endoftext|><|pad|><|spare-0|> <think></think><answer>9</answer> User: Assistant:"


def test_special_tokens_in_a_prompt_are_text(http: httpx.Client, http_service: GenerationService) -> None:
    body = {"messages": [{"role": "user", "content": SPECIAL}], "seed": 1, "max_tokens": 20}
    assert choices_of(http.post(PATH, json=body))
    from dunwu.types import Message

    token_ids, _ = http_service.model.encode([Message(role="user", content=SPECIAL)])
    tokenizer = http_service.model.policy.tokenizer
    assert not {*token_ids.tolist()} & {*tokenizer.all_special_ids}
    assert tokenizer.decode(token_ids.tolist()) == f"User: {SPECIAL} Assistant:"


def test_an_honest_client_is_not_disturbed(
    http: httpx.Client, address: Address, http_service: GenerationService, expected: list[dict[str, Any]]
) -> None:
    def harm(number: int) -> None:
        body = json.dumps({**BODY, "seed": number, "n": 100, "stream": True}).encode()
        with socket.create_connection(("127.0.0.1", address.port), timeout=60) as connection:
            connection.sendall(head_of(len(body)) + body)
            connection.recv(1000)

    threads = [threading.Thread(target=harm, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    answers: list[list[dict[str, Any]]] = []
    while len(answers) < 6:
        response = http.post(PATH, json=BODY)
        if response.status_code == 429:  # the others have filled the queue
            assert response.headers["Retry-After"] == "1"
            continue
        answers.append(choices_of(response))
    for thread in threads:
        thread.join()
    assert answers == [expected] * 6
    http_service.wait_until(lambda: http_service.decoding == 0)


def test_metrics_are_prometheus_text(http: httpx.Client) -> None:
    lines = http.get("/metrics").text.splitlines()
    values = dict(line.split() for line in lines if not line.startswith("#"))
    assert int(values["dunwu_requests_total"]) > 0
    assert int(values["dunwu_completion_tokens_total"]) > 0
    assert sum(line.startswith("# TYPE dunwu_") for line in lines) == len(values)


@pytest.mark.parametrize(
    ("path", "method"), [("/health", "GET"), ("/v1/models", "GET"), ("/v1/held/h1", "HEAD"), ("/v1/held/a%2Fb", "HEAD")]
)
def test_head_is_get_where_reading_releases_nothing(path: str, method: str) -> None:
    seen = list[str]()

    async def note(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["method"])

    async def nothing(*_: Any) -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "HEAD", "path": path, "headers": [(b"host", b"127.0.0.1")], "query_string": b""}
    asyncio.run(guard.Guard(note, None)(scope, nothing, nothing))
    assert seen == [method]
