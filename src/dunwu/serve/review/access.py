"""Who asks: a key in the header for programs, a cookie for pages, and never the one for the other.

A cookie goes along with whatever a browser is made to send, so it opens pages only, and a form is taken only from a
page of ours. JSON wants the key itself, which no foreign page has.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException, Request

from dunwu.serve.http.guard import FORM, read_body
from dunwu.serve.review.keys import LOCAL, Key, Keys

COOKIE = "dunwu-review"
SESSION_SECONDS = 8 * 3600
"""How long a reviewer stays signed in; a restart of the service signs everybody out."""
MOST_SESSIONS = 1000
NO_KEYS = "nobody can review: the service has no keys file"


class Access:
    """Tells who asks.

    Args:
        keys: The keys; None where there is no keys file.
        clock: Gives seconds, for the ends of sessions.
    """

    def __init__(self, keys: Keys | None, clock: Callable[[], float]) -> None:
        self._keys, self._clock = keys, clock
        self._sessions: dict[str, tuple[Key, float]] = {}

    def find_asker(self, request: Request) -> Key:
        """Find who asks, whatever else the key is for: reviewers and admins may ask the model, too.

        Args:
            request: With a key in its header, or without.

        Returns:
            The key's entry; the machine's own where there are no keys.

        Raises:
            HTTPException: There is no key, or it is unknown.
        """
        if self._keys is None:
            if not _is_loopback(request):
                raise HTTPException(403, "without a keys file, only this machine may ask")
            return LOCAL
        return self._read_bearer(request, self._keys)

    def find_reviewer(self, request: Request, *, admin: bool = False) -> Key:
        """Find the reviewer of a request by the key in its header.

        Args:
            request: With a key in its header.
            admin: Only an admin will do.

        Returns:
            The key's entry.

        Raises:
            HTTPException: There is no key, it is unknown, or its holder may not do this.
        """
        if self._keys is None:
            raise HTTPException(403, NO_KEYS)
        key = self._read_bearer(request, self._keys)
        if not key.reviews or (admin and key.role != "admin"):
            raise HTTPException(403, f"{key.name} is no {'admin' if admin else 'reviewer'}")
        return key

    def sign_in(self, presented: str) -> str | None:
        """Begin a session.

        Args:
            presented: A key.

        Returns:
            The cookie; None where it is no reviewer's key.

        Raises:
            HTTPException: There is no keys file.
        """
        if self._keys is None:
            raise HTTPException(403, NO_KEYS)
        key = self._keys.find(presented)
        if key is None or not key.reviews:
            return None
        now = self._clock()
        kept = [(name, session) for name, session in self._sessions.items() if session[1] > now]
        self._sessions = dict(kept[-MOST_SESSIONS + 1 :])
        token = secrets.token_urlsafe(32)
        self._sessions[_hash(token)] = key, now + SESSION_SECONDS
        return token

    def need_session(self, request: Request) -> Key:
        """Find who is signed in.

        Args:
            request: With the cookie of a session.

        Returns:
            The entry of the key that signed in.

        Raises:
            HTTPException: Nobody is.
        """
        key, end = self._sessions.get(_hash(request.cookies.get(COOKIE, "")), (None, 0.0))
        if key is None or end <= self._clock():
            raise HTTPException(401, "sign in first")
        return key

    def sign_out(self, request: Request) -> None:
        """End a session."""
        self._sessions.pop(_hash(request.cookies.get(COOKIE, "")), None)

    def _read_bearer(self, request: Request, keys: Keys) -> Key:
        key = keys.find_bearer(request.headers)
        if key is None:
            raise HTTPException(401, "send a key: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})
        return key


def check_same_origin(request: Request) -> None:
    """Refuse a form that no page of this very address has sent.

    Args:
        request: That brings the form.

    Raises:
        HTTPException: Another site sent it, or the browser does not say.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    same_host = origin is not None and urlsplit(origin).netloc == request.headers.get("host", "")
    if site not in (None, "same-origin") or not (same_host or (site and origin is None)):
        raise HTTPException(403, "another site may not send this")


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form that one of our pages has sent, line ends as a model writes them.

    Args:
        request: That brings the form.

    Returns:
        The first value of each field, by its name.

    Raises:
        HTTPException: Another site sent it, or it cannot be read.
        Refusal: See ``guard.read_body``.
    """
    check_same_origin(request)
    body = await read_body(request, FORM)
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        raise HTTPException(400, "the form cannot be read") from None
    return {name: values[0].replace("\r\n", "\n") for name, values in fields.items()}


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
