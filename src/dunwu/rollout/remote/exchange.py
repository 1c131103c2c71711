"""One request over HTTP and its reply, bounded in time and in bytes whatever the server does."""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple

LARGEST_REPLY, LARGEST_REFUSAL = 4 * 2**20, 2**16
"""Bytes."""


class Reply(NamedTuple):
    """A status with its words, and what follows the headers."""

    status: int
    reason: str
    body: bytes


def exchange(url: str, payload: bytes | None, headers: Mapping[str, str], seconds: float) -> Reply:
    """Ask, and return the whole reply, whatever its status; a redirection is not followed.

    Args:
        url: the address.
        payload: what is posted; None: the address is only got.
        headers: of the request.
        seconds: from the first byte that is sent to the last that is read.

    Raises:
        OSError: the server cannot be reached, or takes longer.
        HTTPException: what it says is no HTTP.
        ValueError: its reply has more than ``LARGEST_REPLY`` bytes.
    """
    request = urllib.request.Request(url, data=payload, headers=dict(headers))
    with _Deadline(seconds) as deadline:
        opener = urllib.request.build_opener(_NoRedirects, _Watched(deadline))
        try:
            reply = _read(opener, request, seconds)
        except (OSError, HTTPException):
            if not deadline.passed:
                raise
        if deadline.passed:  # a connection that is cut may look like one that ended
            raise TimeoutError(f"the answer takes more than {seconds:g} s")
        return reply


def _read(opener: urllib.request.OpenerDirector, request: urllib.request.Request, seconds: float) -> Reply:
    try:
        with opener.open(request, timeout=seconds) as reply:
            return Reply(reply.status, reply.reason, _body(reply))
    except urllib.error.HTTPError as error:
        with error, suppress(OSError, HTTPException):
            return Reply(error.code, error.reason, error.read(LARGEST_REFUSAL))
        return Reply(error.code, error.reason, b"")


def _body(reply: HTTPResponse) -> bytes:
    found = bytearray()
    while part := reply.read1():
        found += part
        if len(found) > LARGEST_REPLY:
            raise ValueError(f"the answer has more than {LARGEST_REPLY} bytes")
    return bytes(found)


class _Deadline:
    """Cuts a connection off after so many seconds.

    The timeout of a socket is for each piece alone, and a server may send its headers byte by byte.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # so that it cuts nothing that comes after
        if self._socket is not None:
            self._socket.close()

    def connect(self, *given: Any) -> socket.socket:
        """Connect as ``socket.create_connection``; the connection is cut off in time, or now where it is late."""
        connected = socket.create_connection(*given)
        self._socket = connected.dup()  # TLS takes the first one's descriptor away from it
        if self.passed:
            self._cut()
        return connected

    def _cut(self) -> None:
        self.passed = True
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Another host must not get the key, and a question that is posted must not become one that is got."""

    def redirect_request(self, *_: object) -> None:
        """Follow no redirection."""


class _Watched(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections that end at a deadline, from their first byte on: a handshake or a proxy's reply too."""

    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Open a connection that is watched."""
        return self.do_open(partial(self._open, HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Open a connection that is watched."""
        return self.do_open(partial(self._open, HTTPSConnection), req)

    def _open(self, kind: type[HTTPConnection], host: str, **how: Any) -> HTTPConnection:
        connection = kind(host, **how)
        setattr(connection, "_create_connection", self._deadline.connect)  # noqa: B010 -- what connect() calls first
        return connection
