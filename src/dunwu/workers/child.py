"""The process of a ``ProcessWorker``: it makes an object and calls its methods, one at a time, in its main thread.

    python -m dunwu.workers.child CALLS LIFELINE

Both are inherited descriptors. It begins with a beat each second, which goes on while a method computes.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from dunwu.errors import Fault, Interrupted, UserError
from dunwu.machine import keep_freed_memory
from dunwu.workers.lifeline import tie
from dunwu.workers.worker import CallFailed

BEAT_SECONDS = 1.0


class Line:
    """The connection to the driver, for the thread that beats and the one that answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def read(self) -> bytes:
        """Wait for a message; the process ends where the driver is gone."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)

    def say(self, kind: str, content: bytes = b"") -> None:
        """Send a message; the process ends where the driver is gone."""
        message = pickle.dumps((kind, content))
        try:
            with self._lock:
                self._connection.send_bytes(message)
        except OSError:
            os._exit(0)

    def beat(self) -> None:
        """Say each second that the process lives, without an end."""
        while True:
            self.say("beat")
            threading.Event().wait(BEAT_SECONDS)


def main() -> None:
    """Make the object, then answer calls until the driver is gone."""
    calls, life = map(int, sys.argv[1:])
    tie(life)
    line = Line(Connection(calls))
    keep_freed_memory()
    name, sys.path[:] = pickle.loads(line.read())
    threading.Thread(target=line.beat, name="beat", daemon=True).start()
    made: Any = None
    failed = b""
    try:
        made = pickle.loads(line.read())()
    except (Exception, Interrupted) as error:  # each call says so
        failed = describe_error(name, error)
    line.say("ready")
    while True:
        request = line.read()
        if failed:
            line.say("raised", failed)
            continue
        try:
            method, arguments = pickle.loads(request)
            answer = pickle.dumps(getattr(made, method)(*arguments))
        except (Exception, Interrupted) as error:
            line.say("raised", describe_error(name, error))
        else:
            line.say("returned", answer)


def describe_error(name: str, error: BaseException) -> bytes:
    """Pickle what a method raised, where it is one of our errors; else ``CallFailed`` with what it says.

    Args:
        name: the worker's.
        error: what was raised.
    """
    if isinstance(error, UserError | Fault | Interrupted):
        return pickle.dumps(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return pickle.dumps(CallFailed(name, text, "".join(traceback.format_exception(error))))


if __name__ == "__main__":
    main()
