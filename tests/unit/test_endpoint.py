"""A model behind a server: what is asked, which failures pass, and whose fault the others are."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import ValidationError

from dunwu import endpoint
from dunwu.config.schema import EndpointSpec
from dunwu.endpoint import Endpoint
from dunwu.errors import Fault, UserError

GOOD = json.dumps({"choices": [{"message": {"role": "assistant", "content": "五 is five"}}]})


class Server(ThreadingHTTPServer):
    """Gives ``replies`` in turn, the last one for good: a status with a text, or bytes as they are."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[tuple[int, str] | bytes] = []
        self.asked: list[tuple[str, dict[str, str], Any]] = []

    def spec(self, **fields: Any) -> EndpointSpec:
        url = f"http://127.0.0.1:{self.server_port}/v1"
        return EndpointSpec.model_validate({"url": url, "model": "m", "timeout_seconds": 30} | fields)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))
        reply = self.server.replies.pop(0) if len(self.server.replies) > 1 else self.server.replies[0]
        if isinstance(reply, bytes):
            self.wfile.write(reply)
            self.close_connection = True
            return
        self.send_response(reply[0])
        self.send_header("Content-Length", str(len(reply[1].encode())))
        self.end_headers()
        self.wfile.write(reply[1].encode())

    def log_message(self, *told: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(endpoint, "PATIENCE", (0.0, 0.0, 0.0))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("slash", ["", "/"])
def test_one_question_has_one_answer(server: Server, slash: str) -> None:
    server.replies = [(200, GOOD)]
    spec = server.spec(url=server.spec().url + slash, temperature=0.25, max_tokens=77)
    assert Endpoint(spec, "judge.endpoint").ask("二加三 = ?") == "五 is five"
    ((path, headers, body),) = server.asked
    assert path == "/v1/chat/completions"
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in headers
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "二加三 = ?"}],
        "temperature": 0.25,
        "max_tokens": 77,
    }


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_the_user_s_and_asked_once(server: Server, status: int) -> None:
    server.replies = [(status, GOOD)]
    with pytest.raises(UserError, match=f"refuses: {status}") as caught:
        Endpoint(server.spec(), "judge.endpoint").ask("?")
    assert caught.value.field == "judge.endpoint.url"
    assert len(server.asked) == 1


@pytest.mark.parametrize("passing", [(408, ""), (425, ""), (429, "slow"), (500, ""), (503, GOOD), (200, "{"), b""])
def test_what_passes_is_tried_again(server: Server, passing: tuple[int, str] | bytes) -> None:
    server.replies = [passing, passing, passing, (200, GOOD)]
    assert Endpoint(server.spec(), "judge.endpoint").ask("?") == "五 is five"
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "reply",
    [
        (200, ""),
        (200, "no JSON"),
        (200, "null"),
        (200, "[]"),
        (200, "{}"),
        (200, '{"choices": []}'),
        (200, '{"choices": [{"message": {"content": null}}]}'),
        (200, '{"choices": [{"message": {"content": ["a"]}}]}'),
        (200, "[" * 100_000),
        (503, GOOD),
        b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
        b"HTTP/1.1 200 OK\r\n\r\n\xff",
        b"no HTTP\r\n\r\n",
    ],
)
def test_no_answer_after_four_tries_is_a_fault(server: Server, reply: tuple[int, str] | bytes) -> None:
    server.replies = [reply]
    with pytest.raises(Fault, match="gives no answer after 4 tries: "):
        Endpoint(server.spec(), "judge.endpoint").ask("?")
    assert len(server.asked) == 4


def test_nobody_there_is_a_fault(server: Server) -> None:
    with Server() as gone:
        spec = gone.spec()
    with pytest.raises(Fault, match=f"127.0.0.1:{gone.server_port}/v1 gives no answer after 4 tries: URLError"):
        Endpoint(spec, "judge.endpoint").ask("?")


def test_the_key_is_the_environment_s(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies = [(200, GOOD)]
    monkeypatch.setenv("THE_KEY", "s3cret")
    Endpoint(server.spec(key_variable="THE_KEY"), "judge.endpoint").ask("?")
    assert server.asked[0][1]["Authorization"] == "Bearer s3cret"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_key_is_the_user_s(monkeypatch: pytest.MonkeyPatch, server: Server, value: str | None) -> None:
    monkeypatch.delenv("THE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("THE_KEY", value)
    with pytest.raises(UserError, match=r"judge\.endpoint\.key_variable: the environment has no THE_KEY"):
        Endpoint(server.spec(key_variable="THE_KEY"), "judge.endpoint")
    assert server.asked == []


def test_a_key_that_no_header_can_hold_is_the_user_s_and_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies = [(200, GOOD)]
    monkeypatch.setenv("THE_KEY", "s3\ncret")
    with pytest.raises((UserError, Fault)) as caught:
        Endpoint(server.spec(key_variable="THE_KEY"), "judge.endpoint").ask("?")
    assert "cret" not in str(caught.value)
    assert isinstance(caught.value, UserError)


def test_another_host_does_not_get_the_question_or_the_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    with Server() as other:
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other.server_port}/v1\r\nContent-Length: 0\r\n\r\n"
        server.replies = [moved.encode()]
        with pytest.raises(UserError, match="refuses: 302"):
            Endpoint(server.spec(key_variable="SOME_KEY"), "judge.endpoint").ask("?")
        assert other.asked == []


def test_halves_of_characters_are_replaced(server: Server) -> None:
    server.replies = [(200, '{"choices": [{"message": {"content": "hi \\ud83d"}}]}')]
    assert Endpoint(server.spec(), "judge.endpoint").ask("?") == "hi ?"


def test_an_answer_that_trickles_in_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clock that goes on by ten seconds with every look."""
    server.replies = [(200, GOOD)]
    monkeypatch.setattr("dunwu.endpoint.time.monotonic", itertools.count(0.0, 10.0).__next__)
    with pytest.raises(Fault, match="the answer takes more than 5 s"):
        Endpoint(server.spec(timeout_seconds=5), "judge.endpoint").ask("?")


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://[::1/v1", "http://:80/v1", "http:///v1"])
def test_what_is_no_address_is_told_before_anything_runs(url: str) -> None:
    with pytest.raises(ValidationError, match="is no address of a server"):
        EndpointSpec.model_validate({"url": url, "model": "m"})


def test_a_server_s_words_cannot_move_the_cursor(server: Server) -> None:
    server.replies = [b"HTTP/1.1 401 Go\x07\x1b[2Jaway\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(UserError, match=r"refuses: 401 Go\[2Jaway$"):
        Endpoint(server.spec(), "judge.endpoint").ask("?")
