"""Webhooks go to this machine alone, once if all goes well, and again until somebody took them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dunwu.errors import UserError
from dunwu.serve.review import webhooks
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.records import Notice
from dunwu.serve.review.webhooks import MOST_ATTEMPTS, WebhookSender, post, split_address


class Listener:
    """A client that hears: answers with the next of its statuses when it may, and keeps what it has answered."""

    def __init__(self, statuses: list[int]) -> None:
        heard: list[tuple[str, str, Any]] = []
        self.heard, self.asked, self.answers = heard, threading.Event(), threading.Event()
        self.answers.set()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.asked.set()
                assert listener.answers.wait(60)
                heard.append((self.path, self.headers["Idempotency-Key"], json.loads(body)))
                self.send_response(statuses.pop(0) if statuses else 200)
                self.send_header("Location", "http://192.0.2.1/")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ready?a=1"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    opened: list[Listener] = []

    def start(*statuses: int) -> Listener:
        opened.append(Listener(list(statuses)))
        return opened[-1]

    yield start
    for listener in opened:
        listener.server.shutdown()
        listener.server.server_close()


class World:
    """A queue, whose clock stands until it is moved."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0.0
        self.open()

    def open(self) -> None:
        self.queue = HeldQueue(self.folder, lambda: self.now)

    def decide(self, url: str | None) -> str:
        held = self.queue.hold("ward", "q", "", "a", webhook=url)
        self.queue.claim(held, "ann")
        self.queue.decide(held, "ann", "accept")
        return held

    def decide_several(self, count: int, url: str) -> list[str]:
        """Decide answers, a second after another."""
        decided = []
        for _ in range(count):
            decided.append(self.decide(url))
            self.now += 1.0
        return decided

    def events(self) -> list[str]:
        return [json.loads(line)["record"]["event"] for line in (self.folder / "audit.jsonl").open()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.queue.close()


def send_due(sender: WebhookSender) -> int:
    """Send what is due, wait for it, and return how many notices were taken."""
    return sum(taken.result() for taken in sender.send_due())


def test_a_verdict_is_heard_of_once_and_without_the_text(world: World, listen: Callable[..., Listener]) -> None:
    listener = listen()
    held = world.queue.hold("ward", "q", "", "secret", webhook=listener.url)
    sender = WebhookSender(world.queue)
    assert send_due(sender) == 0
    world.queue.claim(held, "ann")
    world.queue.decide(held, "ann", "accept")
    assert [send_due(sender) for _ in range(3)] == [1, 0, 0]
    assert listener.heard == [("/ready?a=1", held, {"id": held, "event": "decided"})]
    assert world.events()[-1] == "notified"


def test_an_answer_that_nobody_decided_is_heard_of_as_expired(world: World, listen: Callable[..., Listener]) -> None:
    listener = listen()
    held = world.queue.hold("ward", "q", "", "secret", webhook=listener.url)
    world.now = 3600.0
    assert world.queue.expire(3600.0) == 1
    assert send_due(WebhookSender(world.queue)) == 1
    assert listener.heard == [("/ready?a=1", held, {"id": held, "event": "expired"})]
    assert world.events() == ["held", "expired", "notified"]


def test_a_client_without_a_webhook_hears_nothing(world: World) -> None:
    world.decide(None)
    assert world.queue.list_due_notices() == []


def test_refusals_are_tried_again_later_also_after_a_restart(world: World, listen: Callable[..., Listener]) -> None:
    listener = listen(500, 302, 200)
    held = world.decide(listener.url)
    assert send_due(WebhookSender(world.queue)) == 0
    assert send_due(WebhookSender(world.queue)) == 0
    assert len(listener.heard) == 1, "not before its time"
    world.now = 1.0
    assert send_due(WebhookSender(world.queue)) == 0
    world.queue.close()
    world.open()
    world.now = 3.0
    assert send_due(WebhookSender(world.queue)) == 1
    assert [key for _, key, _ in listener.heard] == [held] * 3, "one key, so that the client knows it is the same"
    assert "notified" in world.events()


def test_it_is_given_up_after_so_many_attempts(world: World) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    world.decide(f"http://127.0.0.1:{port}/")
    pauses = []
    for attempt in range(MOST_ATTEMPTS):
        assert world.queue.list_due_notices()[0].attempts == attempt
        assert send_due(WebhookSender(world.queue)) == 0
        before = world.now
        while attempt + 1 < MOST_ATTEMPTS and not world.queue.list_due_notices():
            world.now += 1
        pauses.append(world.now - before)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *[600] * 5, 0]
    world.now += 1e6
    assert world.queue.list_due_notices() == []
    assert world.events()[-1] == "not notified"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1", b"HTTP/1.1 302 Found\r\n", b"HTTP/1.1 2000 x"])
def test_what_is_no_taking_is_a_refusal(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(OSError, match="the answer was"):
            post(
                Notice(
                    held_id="held-1", url=f"http://127.0.0.1:{server.getsockname()[1]}/", attempts=0, event="decided"
                )
            )
        thread.join()


@pytest.mark.parametrize("found", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["::ffff:10.0.0.1"], ["0.0.0.0"], []])
def test_a_name_that_is_elsewhere_is_given_up_at_once(
    world: World, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (one, 80)) for one in found])
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("connected"))
    world.decide("http://rebound.example/x")
    assert send_due(WebhookSender(world.queue)) == 0
    world.now += 1e6
    assert world.queue.list_due_notices() == []
    assert world.events()[-1] == "not notified"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "http://",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://a/\r\nX: y",
        "x",
        "",
        "http://a..b/",
    ],
)
def test_addresses_are_plain(url: str) -> None:
    with pytest.raises(UserError, match="must be http://HOST:PORT/PATH"):
        split_address(url)
    assert split_address("http://[::1]:8/a?b") == ("::1", 8, "/a?b")


def test_the_thread_sends_by_itself(
    world: World, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.01)
    listener, sent = listen(), threading.Event()

    def send(notice: Notice) -> None:
        post(notice)
        sent.set()

    sender = WebhookSender(world.queue, send)
    sender.start()
    world.decide(listener.url)
    assert sent.wait(60)
    sender.close()
    assert len(listener.heard) == 1
    assert world.queue.list_due_notices() == []


def test_a_client_that_hangs_delays_itself_alone(world: World, listen: Callable[..., Listener]) -> None:
    hung, listener, release = listen(), listen(), threading.Event()
    hung.answers = release
    first = world.decide_several(2, hung.url)
    sender = WebhookSender(world.queue)
    (waiting,) = sender.send_due()
    assert hung.asked.wait(60)
    later = world.decide_several(3, listener.url)
    assert send_due(sender) == 3, "the one that hangs is not asked a second time meanwhile"
    assert [held for _, held, _ in listener.heard] == later
    assert (hung.heard, waiting.done()) == ([], False)
    release.set()
    assert waiting.result() == 2
    assert [held for _, held, _ in hung.heard] == first
    sender.close()
    assert world.queue.list_due_notices() == []


def test_what_one_address_does_not_take_is_sent_behind_the_others(
    world: World, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST_AT_ONCE", 1)
    broken, listener = listen(500), listen()
    first = world.decide_several(2, broken.url)
    world.decide(listener.url)
    sender = WebhookSender(world.queue)
    assert [taken.result() for taken in sender.send_due()] == [0, 1]
    assert [held for _, held, _ in broken.heard] == first[:1]
    assert send_due(sender) == 1
    world.now += 1.0
    assert send_due(sender) == 1
    assert [held for _, held, _ in broken.heard] == [first[0], first[1], first[0]]


def test_a_sender_that_is_closed_begins_nothing_more(world: World, listen: Callable[..., Listener]) -> None:
    listener, release = listen(), threading.Event()
    listener.answers = release
    held = world.decide_several(2, listener.url)
    sender = WebhookSender(world.queue)
    (waiting,) = sender.send_due()
    assert listener.asked.wait(60)
    closing = threading.Thread(target=sender.close)
    closing.start()
    assert sender._stop.wait(60)
    release.set()
    closing.join()
    assert waiting.result() == 1
    assert [notice.held_id for notice in world.queue.list_due_notices()] == held[1:], "it is sent after a restart"
