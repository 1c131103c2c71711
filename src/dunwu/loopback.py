"""This machine's loopback, at which the live pages and the generation service are reached, and who asks there."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Mapping

from dunwu.errors import UserError

LOOPBACK = "127.0.0.1"
HOSTS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)


def listen(port: int, command: str) -> socket.socket:
    """Listen on a port: from here on a client waits, and is not turned away.

    Args:
        port: the port; 0 for any that is free.
        command: what may have it already, for the error.

    Raises:
        UserError: the port is taken, or not to be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} is taken, perhaps by another {command}; try --port 0, which takes any that is free"
        else:
            text = f"cannot be listened on: {error.strerror}; 0 takes any that is free"
        raise UserError(text, field="--port") from None
    listener.listen(128)
    return listener


def is_own_host(headers: Mapping[str, str]) -> bool:
    """Tell whether a request names this machine's loopback, and no foreign name that points here (DNS rebinding)."""
    return HOSTS.fullmatch(headers.get("host", "")) is not None


def is_own_site(headers: Mapping[str, str]) -> bool:
    """Tell whether a request comes from a page of ours, or from no page."""
    return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def is_followed_link(headers: Mapping[str, str]) -> bool:
    """Tell whether a person follows a link from elsewhere, which gives that site nothing to read."""
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
