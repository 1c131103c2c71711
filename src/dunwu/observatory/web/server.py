"""``dunwu watch``: the application on this machine's loopback, for as long as it is wanted."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from dunwu.errors import UserError
from dunwu.observatory.web.app import make_app
from dunwu.observatory.web.watched_runs import WatchedRuns
from dunwu.runs import RunReader

LOOPBACK = "127.0.0.1"
NICENESS = 10
"""Training comes first, a page that is being looked at next, the reader of rollouts last."""


def serve(directories: Sequence[Path], port: int, announce: Callable[[str], None]) -> None:
    """Serve until it is stopped.

    Args:
        directories: Run directories, or folders that hold such.
        port: Where; 0 for any port that is free.
        announce: Is called with the address once it answers there.

    Raises:
        UserError: A folder holds no run, or the port is taken.
    """
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    with WatchedRuns([run for directory in directories for run in find_runs(directory)]) as runs:
        listener = _listen(port)
        announce(f"http://{LOOPBACK}:{listener.getsockname()[1]}")
        config = uvicorn.Config(make_app(runs), log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])


def find_runs(directory: Path) -> list[Path]:
    """Find the run that a folder is, or the runs that lie in it.

    Raises:
        UserError: There are none.
    """
    if (directory / "manifest.json").is_file():
        return [directory]
    found = sorted(path.parent for path in directory.glob("*/manifest.json"))
    if not found:
        RunReader(directory)  # says what is missing
    return found


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} is taken, perhaps by another dunwu watch; try --port 0, which takes any that is free"
        else:
            text = f"cannot be listened on: {error.strerror}; 0 takes any that is free"
        raise UserError(text, field="--port") from None
    listener.listen(128)  # from here on a browser waits, and is not turned away
    return listener
