"""A model behind a server: what is asked, which failures pass, and whose fault the others are."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from typing import IO, Any

import pytest
from pydantic import ValidationError

from dunwu.config.schema import EndpointSpec
from dunwu.errors import Fault, UserError
from dunwu.rollout.remote import Endpoint
from dunwu.rollout.remote import client as endpoint
from dunwu.rollout.remote.exchange import LARGEST_REPLY

GOOD = json.dumps({"choices": [{"message": {"role": "assistant", "content": "五 is five"}}]})


class Server(ThreadingHTTPServer):
    """Gives ``replies`` in turn, the last one for good: a status with a text, or bytes as they are."""

    daemon_threads = True
    block_on_close = False

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
        self.close_connection = True
        self.answer()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))
        reply = self.server.replies.pop(0) if len(self.server.replies) > 1 else self.server.replies[0]
        if isinstance(reply, bytes):
            self.wfile.write(reply)
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
        (200, '{"choices": [{"message": {"content": 5}}]}'),
        (200, '{"choices": [{"message": {"content": [5]}}]}'),
        (200, '{"error": {"message": "busy"}}'),
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


def drip(file: IO[bytes], first: bytes, then: bytes) -> None:
    """Says ``first``, and then ``then`` again and again, until nobody listens."""
    with suppress(OSError):
        file.write(first)
        while True:
            file.write(then)
            file.flush()
            Event().wait(0.005)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
)
def test_an_answer_that_drips_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch, first: bytes, then: bytes
) -> None:
    """Every piece comes in time, the whole never."""
    monkeypatch.setattr(endpoint, "PATIENCE", ())
    monkeypatch.setattr(Handler, "answer", lambda self: drip(self.wfile, first, then))
    with pytest.raises(Fault, match=r"TimeoutError: the answer takes more than 0\.2 s"):
        Endpoint(server.spec(timeout_seconds=0.2), "judge.endpoint").ask("?")


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(2**16):
        pass


def drips_a_record(connection: socket.socket) -> None:
    """One of TLS, whose bytes come one by one."""
    with connection.makefile("wb") as file:
        drip(file, b"\x16\x03\x03\x40\x00", b"\0")


@pytest.mark.parametrize("talk", [says_nothing, drips_a_record])
def test_a_handshake_that_does_not_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, talk: Callable[[socket.socket], None]
) -> None:
    monkeypatch.setattr(endpoint, "PATIENCE", ())
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        spec = EndpointSpec.model_validate({"url": url, "model": "m", "timeout_seconds": 0.2})
        with pytest.raises(Fault, match=r"the answer takes more than 0\.2 s|timed out"):
            Endpoint(spec, "judge.endpoint").ask("?")
        thread.join()


def test_a_refusal_that_drips_is_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PATIENCE", ())
    monkeypatch.setattr(Handler, "answer", lambda self: drip(self.wfile, b"HTTP/1.1 404 No\r\n\r\n", b" "))
    with pytest.raises(Fault, match=r"the answer takes more than 0\.2 s"):
        Endpoint(server.spec(timeout_seconds=0.2), "judge.endpoint").ask("?")


@pytest.mark.parametrize(
    ("extra", "told"), [(0, "JSONDecodeError"), (1, "ValueError: the answer has more than 4194304")]
)
def test_a_reply_of_any_size_takes_little(server: Server, extra: int, told: str) -> None:
    server.replies = [(200, " " * (LARGEST_REPLY + extra))]
    with pytest.raises(Fault, match=told):
        Endpoint(server.spec(), "judge.endpoint").ask("?")


def test_an_endless_reply_is_not_read_to_its_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PATIENCE", ())

    def answer(self: Handler) -> None:
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                self.wfile.write(b"x" * 2**16)

    monkeypatch.setattr(Handler, "answer", answer)
    with pytest.raises(Fault, match="the answer has more than 4194304 bytes"):
        Endpoint(server.spec(), "judge.endpoint").ask("?")


@pytest.mark.parametrize("reply", [b"HTTP/1.1 503 " + b"x" * 60_000 + b"\r\n\r\n", b"x" * 60_000 + b"\r\n\r\n"])
def test_what_is_told_of_a_reply_is_short(server: Server, reply: bytes) -> None:
    server.replies = [reply]
    with pytest.raises(Fault) as caught:
        Endpoint(server.spec(), "judge.endpoint").ask("?")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://[::1/v1", "http://:80/v1", "http:///v1"])
def test_what_is_no_address_is_told_before_anything_runs(url: str) -> None:
    with pytest.raises(ValidationError, match="is no address of a server"):
        EndpointSpec.model_validate({"url": url, "model": "m"})


def test_a_server_s_words_cannot_move_the_cursor(server: Server) -> None:
    server.replies = [b"HTTP/1.1 401 Go\x07\x1b[2Jaway\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(UserError, match=r"refuses: 401 Go\[2Jaway$"):
        Endpoint(server.spec(), "judge.endpoint").ask("?")


REFUSALS = [
    ("max_tokens", {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
     "'max_completion_tokens' instead.", "param": "max_tokens", "code": "unsupported_parameter"}}),
    ("temperature", {"error": {"message": "Unsupported value: 'temperature' does not support 0.6 with this model. Only "
     "the default (1) value is supported.", "param": "temperature"}}),
    ("temperature", {"detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Not permitted"}]}),
    ("temperature", [{"error": {"code": 400, "message": 'Unknown name "temperature": Cannot find field.'}}]),
    ("temperature", "Temperature is not supported"),
    ("max_tokens", {"error": "maxTokens: unknown field"}),
    ("max_tokens", {"message": "max tokens is not known"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "refusal"), REFUSALS)
@pytest.mark.parametrize("status", [400, 422, 500, 501])
def test_what_a_helper_s_server_refuses_it_is_asked_without(
    server: Server, status: int, name: str, refusal: Any
) -> None:
    server.replies = [(status, json.dumps(refusal)), (200, GOOD)]
    helper = Endpoint(server.spec(), "judge.endpoint")
    assert [helper.ask("?"), helper.ask("!")] == ["五 is five"] * 2
    first, *others = (body.keys() - {"model", "messages"} for *_, body in server.asked)
    assert first == {"temperature", "max_tokens"}
    later = {"temperature"} ^ {"max_completion_tokens"} if name == "max_tokens" else {"max_tokens"}
    assert others == [later, later]
    assert helper.record is not None
    assert helper.record.refused.keys() == {name}


def test_a_key_or_a_name_that_is_wrong_is_not_a_matter_of_fields(server: Server) -> None:
    server.replies = [(404, json.dumps({"error": {"message": "no model called temperature"}}))]
    with pytest.raises(UserError, match="refuses: 404"):
        Endpoint(server.spec(), "judge.endpoint").ask("?")
    assert len(server.asked) == 1


def test_a_limit_is_never_left_out(server: Server) -> None:
    """Who pays for the tokens set it."""
    server.replies = [(400, json.dumps({"error": {"message": "max_tokens is too large: 8192. At most 4096."}}))]
    with pytest.raises(UserError, match=r"refuses: 400 .*: max_tokens is too large: 8192\. At most 4096\."):
        Endpoint(server.spec(), "judge.endpoint").ask("?")
    assert len(server.asked) == 2


def test_what_a_server_says_of_a_field_is_shown_as_text(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.replies = [(400, json.dumps({"error": "temperature\x1b[2J\n is " + "bad " * 100})), (200, GOOD)]
    Endpoint(server.spec(), "judge.endpoint").ask("?")
    (told,) = caplog.messages
    assert f"{server.spec().url} refuses temperature, and is asked without it: temperature[2J is bad bad" in told
    assert len(told) < 300
