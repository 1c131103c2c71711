"""Connections over raw sockets: who keeps one without asking gives it back, and never keeps others out."""

from __future__ import annotations

import json
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from dunwu.rollout.builtin.batch import Batch, Written
from dunwu.serve.answering import Answerer
from dunwu.serve.http import connections, guard, server
from dunwu.serve.service import GenerationService

from .conftest import Address, run_server

MOST = 8
HEALTH = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PATH = "/v1/chat/completions"
QUESTION = "Use 3, 5, 7 once each with + - * / to make 22."


@contextmanager
def serve_few(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> Iterator[Address]:
    monkeypatch.setattr(server, "count_connections", lambda: MOST)
    with run_server(Answerer(service)) as address:
        yield address


def connect(stack: ExitStack, address: Address) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", address.port), timeout=60))


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until something has come."""
    received = b""
    while end not in received:
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


def read_all(connection: socket.socket) -> bytes:
    """Read until the server has closed a connection."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def is_closed(connection: socket.socket) -> bool:
    """Wait until the server has closed a connection; what it has sent is read."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


def ask_health(connection: socket.socket) -> bytes:
    """Ask on a connection that is kept, and read the answer."""
    connection.sendall(HEALTH)
    return read_until(connection, b'"model":"nano"}')


def test_who_waits_longest_makes_room(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_few(service, monkeypatch) as address, ExitStack() as stack:
        idle = [connect(stack, address) for _ in range(MOST)]
        for number in range(2 * MOST):
            fresh = connect(stack, address)
            assert ask_health(fresh).startswith(b"HTTP/1.1 200"), number
            idle.append(fresh)
        for connection in idle[: 2 * MOST + 1]:
            assert is_closed(connection)
        assert ask_health(idle[-1]).startswith(b"HTTP/1.1 200"), "the youngest are kept"


def test_an_idle_connection_gives_way_before_one_that_has_begun(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_few(service, monkeypatch) as address, ExitStack() as stack:
        slow = connect(stack, address)
        slow.sendall(HEALTH[:10])
        idle = [connect(stack, address) for _ in range(MOST - 2)]
        for connection in idle:
            ask_health(connection)
        for _ in range(3):
            ask_health(connect(stack, address))
        assert [is_closed(connection) for connection in idle[:2]] == [True, True]
        slow.sendall(HEALTH[10:])
        assert b"200 OK" in slow.recv(65536)


def test_where_all_are_busy_one_more_is_refused(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, step = threading.Event(), Batch.step

    def wait_and_step(batch: Batch) -> list[Written]:
        assert go_on.wait(60)
        return step(batch)

    monkeypatch.setattr(Batch, "step", wait_and_step)
    content = json.dumps({"messages": [{"role": "user", "content": QUESTION}], "stream": True}).encode()
    request = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content
    with serve_few(service, monkeypatch) as address, ExitStack() as stack:
        busy = [connect(stack, address) for _ in range(MOST - 1)]
        for connection in busy:
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        one_more = connect(stack, address)
        one_more.sendall(HEALTH)
        head, _, body = read_all(one_more).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in head.lower()
        message = "all connections are busy: ask again later"
        assert json.loads(body) == {
            "error": {"message": message, "type": "server_error", "param": None, "code": "busy"}
        }
        go_on.set()
        for connection in busy:
            assert read_until(connection, b"data: [DONE]"), "nobody who is answered is cut off"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        HEALTH[:20],
        HEALTH.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n12"),
        b"POST /v1/review/x/claim HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
    ],
)
def test_without_a_whole_request_in_time_it_is_over(
    address: Address, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(connections, "WHOLE_SECONDS", 0.3)
    monkeypatch.setattr(guard, "LIMITS", guard.BodyLimits(bytes=1000, seconds=60.0))
    with ExitStack() as stack:
        assert send_until_closed(connect(stack, address), begun)


def send_until_closed(connection: socket.socket, begun: bytes) -> bool:
    """Send the beginning of a request, and then a byte at a time for as long as the server takes them."""
    connection.sendall(begun)
    connection.settimeout(0.02)
    for _ in range(3000):
        try:
            if begun:
                connection.sendall(b"1")
            if not connection.recv(65536):
                return True
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


def test_the_bound_does_not_end_an_answer_or_a_connection_that_goes_on(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WHOLE_SECONDS", 0.2)
    with httpx.Client(base_url=address.url, timeout=120) as client:
        messages = [{"role": "user", "content": QUESTION}]
        for seed in range(3):
            response = client.post(PATH, json={"messages": messages, "n": 64, "seed": seed, "temperature": 2.0})
            assert len(response.json()["choices"]) == 64


def test_a_client_that_reads_nothing_is_given_up(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.1)
    with ExitStack() as stack:
        connection = socket.socket()
        stack.enter_context(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", address.port))
        page = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            connection.sendall(page * 1_000_000)


def test_half_of_the_files_are_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((256, 128), (1024, 512), (20_000, 1024), (resource.RLIM_INFINITY, 1024)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert connections.count_connections() == most
