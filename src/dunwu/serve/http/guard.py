"""What stands before every request: the host's name, the key, the size of the body and the time that it takes.

HEAD is answered as GET is, but where that changes something: the server below leaves the body out.

It is plain ASGI, because a reply that streams shall reach the client, and its leaving us, without a stop between.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dunwu.loopback import is_followed_link, is_own_host, is_own_site
from dunwu.observatory.web.assets import POLICY
from dunwu.serve.http.errors import Refusal, respond
from dunwu.serve.review.keys import LOCAL, Key, Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """What a body may take: bytes, and seconds to arrive in."""

    bytes: int
    seconds: float


LIMITS: Final = BodyLimits(bytes=4 << 20, seconds=20.0)
"""Of all bodies; more than the longest conversation that a model reads."""
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
OF_KEYS: Final = ("/v1/", "/page/")
RELEASING: Final = "/v1/held/"
"""Where whoever reads an answer has it released: a client that gets no text has not read it."""
"""What makes the server work, for whom a key may be wanted; the page itself is open."""

HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """Refuses requests before they are read, and gives every response the headers that it has not set itself.

    Args:
        app: what is guarded.
        keys: of whom one is wanted below ``OF_KEYS``; None: anybody on this machine may ask.
    """

    def __init__(self, app: ASGIApp, keys: Keys | None) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in HEADERS if one[0] not in own)]
            await send(message)

        answer = self._app
        if scope["method"] == "HEAD" and not scope["path"].startswith(RELEASING):
            scope = {**scope, "method": "GET"}
        try:
            _check_host(HTTPConnection(scope))
            if scope["path"].startswith(OF_KEYS):
                scope.setdefault("state", {})["key"] = _find_client(HTTPConnection(scope), self._keys)
        except Refusal as error:
            answer = respond(error)
        await answer(scope, receive, send_guarded)


def _check_host(request: HTTPConnection) -> None:
    """Refuse a foreign name that has been pointed at this machine (DNS rebinding), and pages of other sites.

    Raises:
        Refusal: the request comes from elsewhere.
    """
    if not is_own_host(request.headers):
        raise Refusal(400, "this address answers to the names of this machine's loopback only", code="wrong_host")
    is_link = request.scope["path"] == "/" and is_followed_link(request.headers)
    if not is_own_site(request.headers) and not is_link:
        raise Refusal(403, "another site may not ask here", code="wrong_origin")


def _find_client(request: HTTPConnection, keys: Keys | None) -> Key:
    """Find who holds the key of a request; anybody on this machine is ``local`` where there are no keys.

    Raises:
        Refusal: there is no key, or an unknown one.
    """
    if keys is None:
        return LOCAL
    key = keys.find_bearer(request.headers)
    if key is None:
        raise Refusal(401, "a key is wanted: Authorization: Bearer KEY", code="invalid_api_key")
    return key


def name_connection(request: Request) -> str:
    """Name whoever asks, for turns in the queue: by key, whatever its connections; without keys by connection."""
    key: Key = request.state.key
    if key != LOCAL:
        return key.name
    return f"{request.client.host}:{request.client.port}" if request.client else ""


async def read_body(request: Request, wanted: str = JSON) -> bytes:
    """Read a body, within ``LIMITS``.

    Args:
        request: whose body.
        wanted: the type that it must have where it names one.

    Returns:
        The whole body.

    Raises:
        Refusal: it is too large, takes too long, ends too early, or says that it is something else.
    """
    kind = request.headers.get("content-type", wanted).partition(";")[0].strip().lower()
    if kind != wanted:
        raise Refusal(415, f"the body is {kind[:60]!r}, and {wanted} is wanted", code="wrong_type")
    try:
        async with asyncio.timeout(LIMITS.seconds):
            return await _read_bounded(request)
    except TimeoutError:
        raise Refusal(408, f"the body took more than {LIMITS.seconds:g} s", code="slow_body") from None


async def _read_bounded(request: Request) -> bytes:
    too_large = Refusal(413, f"the body has more than {LIMITS.bytes >> 20} MiB", code="too_large")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and len(announced) < 20 and int(announced) > LIMITS.bytes:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LIMITS.bytes:
            raise too_large
    return bytes(body)
