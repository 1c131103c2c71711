"""Forks one run per line of standard input and kills it at its n-th system call; a script, run by test_kill.

Each line is ``N DIRECTORY``: the child dies by SIGKILL just before its N-th changing system call, and if that one is a
write, after half of it (0: never). Each answer is ``done`` or ``killed``. Forking makes a kill
cost milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.runs import making

CALLS = ("write", "pwrite", "fsync", "rename", "mkdir", "unlink", "rmdir", "ftruncate")


def arm(fatal: int) -> None:
    """Counts the changing system calls that Python makes through ``os`` and dies at number ``fatal``."""
    made = 0

    def wrap(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            if made == fatal:
                if name == "write":
                    call(args[0], memoryview(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counted

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        making.work(Path(folder) / "run")  # what is loaded at first use is then loaded before the forks
    for line in sys.stdin:
        fatal, _, directory = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            arm(int(fatal))
            making.work(Path(directory))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            print("killed", flush=True)
        else:
            assert os.WEXITSTATUS(status) == 0, f"run failed with status {status}"
            print("done", flush=True)


if __name__ == "__main__":
    main()
