"""Listening on this machine's loopback: what the live pages and the generation service are reached at."""

from __future__ import annotations

import errno
import socket

from dunwu.errors import UserError

LOOPBACK = "127.0.0.1"


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
