"""``dunwu watch``: the application on this machine's loopback, for as long as it is wanted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from dunwu.loopback import LOOPBACK, listen
from dunwu.observatory.web.app import make_app
from dunwu.observatory.web.watched_runs import WatchedRuns
from dunwu.runs import RunReader

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
        listener = listen(port, "dunwu watch")
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
