"""A process that answers lines of JSON with lines of JSON, and can be killed at any time."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

GOING_SECONDS = 1.0
"""Between a process's last word and its end."""


class LineProcess:
    """Started at construction, in a process group of its own, and not waited for."""

    def __init__(self, command: Sequence[str]) -> None:
        self._unread = b""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the parent's to handle
            bufsize=0,
        )

    def ask(self, request: object, seconds: float) -> Any:
        """The reply to a request. Raises EOFError where the process is dead, or silent for so long."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
        except BrokenPipeError:
            raise EOFError from None
        return self.line(seconds)

    def line(self, seconds: float) -> Any:
        """The next line. Raises EOFError where the process is dead, or silent for so long."""
        assert self.process.stdout is not None
        stdout = self.process.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise EOFError
            chunk = os.read(stdout, 65536)
            if not chunk:
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(GOING_SECONDS)
                raise EOFError
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def kill(self) -> None:
        """Ends it and what it has started, at once."""
        if self.process.poll() is None:  # what a dead one has started ends when the pipes close
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
