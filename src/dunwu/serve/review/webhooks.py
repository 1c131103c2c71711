"""Notes to clients on this machine that an answer is decided or expired. A note has no text; the client fetches that.

Each answer has one notice, which stays in the database until it was taken. Between "taken" and "kept as taken" a kill
can fall, so a notice may arrive twice: its ``Idempotency-Key`` says that it is the same. At least once is all that is
possible across two processes.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from dunwu.errors import Fault, UserError
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.records import Notice

ANSWER_SECONDS = 5.0
"""How long the one who hears may take for the first line of a reply; nothing more of it is read."""
LOOK_SECONDS = 1.0
"""How often notices that are due are looked for."""
MOST_AT_ONCE = 8
"""Addresses to which notices are sent at the same time."""
MOST_ATTEMPTS = 16
LONGEST_PAUSE = 600.0
"""Seconds between two attempts, which begin at one second and double."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


class Address(NamedTuple):
    """Where a webhook goes."""

    host: str
    port: int
    path: str


def split_address(url: str) -> Address:
    """Split the address of a webhook.

    Args:
        url: As the keys file has it.

    Returns:
        Its parts.

    Raises:
        UserError: It is no plain ``http://HOST:PORT/PATH``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 80
        (parts.hostname or "").encode("idna")  # an empty or a long label
    except ValueError:
        parts, port = urlsplit(""), 0
    plain = re.fullmatch(r"http://[!-~]+", url) and parts.hostname and parts.username is None
    if not plain or parts.hostname is None:
        raise UserError(f"must be http://HOST:PORT/PATH, not {url!r:.60}")
    return Address(parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def find_loopback(address: Address) -> str:
    """Resolve a host; a connection is made to what was checked here, so that the name is not resolved again.

    Args:
        address: Of a webhook.

    Returns:
        An address of this machine's loopback.

    Raises:
        UserError: The name, or one of its addresses, is elsewhere, or it is none.
        OSError: There is no such name.
    """
    try:
        found = [entry[4][0] for entry in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)]
    except UnicodeError:
        raise UserError(f"{address.host!r:.60} is no name of a host") from None
    elsewhere = [one for one in found if not ipaddress.ip_address(one).is_loopback]
    if elsewhere or not found:
        raise UserError(f"{address.host} is not on this machine")
    return str(found[0])


def post(notice: Notice) -> None:
    """Send a notice; a redirection is a refusal.

    Args:
        notice: What is sent, and where.

    Raises:
        UserError: The address is not on this machine.
        OSError: Nobody took it.
    """
    address = split_address(notice.url)
    body = json.dumps({"id": notice.held_id, "event": notice.event})
    host = f"[{address.host}]" if ":" in address.host else address.host
    request = (
        f"POST {address.path} HTTP/1.1\r\nHost: {host}:{address.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nIdempotency-Key: {notice.held_id}\r\nConnection: close\r\n\r\n{body}"
    )
    with socket.create_connection((find_loopback(address), address.port), timeout=ANSWER_SECONDS) as connection:
        connection.sendall(request.encode())
        status = _read_status(connection)
    if not 200 <= status < 300:
        raise OSError(f"the answer was {status}")


def _read_status(connection: socket.socket) -> int:
    """Read as much of a reply as says whether the notice was taken."""
    until, line = time.monotonic() + ANSWER_SECONDS, b""
    while len(line) < 13:  # HTTP/1.1 200 and one sign more
        connection.settimeout(max(0.001, until - time.monotonic()))
        found = connection.recv(13 - len(line))
        if not found:
            break
        line += found
    status = _STATUS_LINE.match(line)
    if status is None:
        raise OSError("the answer was not HTTP")
    return int(status[1])


class WebhookSender:
    """Sends what is due, in threads of its own; what a restart finds due goes on.

    Each address has a thread while something is due there, so one that hangs delays itself alone.

    Args:
        queue: Has the notices.
        post: Sends one.
    """

    def __init__(self, queue: HeldQueue, post: Callable[[Notice], None] = post) -> None:
        self._queue, self._post = queue, post
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, "webhook")
        self._busy = set[str]()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the notices that are being sent; the queue is closed after this."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def send_due(self) -> list[Future[int]]:
        """Begin to send what is due, and wait for nobody.

        Returns:
            Of each address to which nothing was being sent already, how many notices it takes.

        Raises:
            Fault: The queue cannot be read.
        """
        waiting = [notice.url for notice in self._queue.list_due_notices() if notice.url not in self._busy]
        self._busy.update(waiting)
        return [self._pool.submit(self._send_all, url) for url in waiting]

    def _send_all(self, url: str) -> int:
        """Send what is due at an address, up to the first that it does not take; return how many it took.

        The rest is sent at the next look, behind other addresses.
        """
        taken = 0
        try:
            while not self._stop.is_set() and (due := self._queue.list_due_notices(url)) and self._send(due[0]):
                taken += 1
        finally:
            self._busy.discard(url)
        return taken

    def _send(self, notice: Notice) -> bool:
        """Send a notice, keep how that went, and return whether it was taken."""
        error, retry = None, None
        try:
            self._post(notice)
        except UserError as refusal:  # an address that is elsewhere is not tried again
            error = str(refusal)
        except OSError as failure:
            error = str(failure)
            retry = min(2.0**notice.attempts, LONGEST_PAUSE) if notice.attempts + 1 < MOST_ATTEMPTS else None
        self._queue.record_notice(notice, error, retry)
        return error is None

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            with suppress(Fault, UserError):  # a full disk may have room again; what was sent is sent again then
                self.send_due()
