"""Objects that the tests put into workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import NoReturn

from dunwu.errors import Fault, UserError


class Counter:
    """Counts, and ends in all the ways in which a worker can."""

    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self, amount: int) -> int:
        self.value += amount
        return self.value

    def echo(self, content: object) -> object:
        return content

    def pid(self) -> int:
        return os.getpid()

    def threads(self) -> str | None:
        return os.environ.get("OMP_NUM_THREADS")

    def fail(self) -> NoReturn:
        raise KeyError("no such thing")

    def refuse(self) -> NoReturn:
        raise UserError("is wrong", file="recipe.toml", field="stages.zero")

    def find_fault(self) -> NoReturn:
        raise Fault("NaN")

    def give_unpicklable(self) -> object:
        return threading.Lock()

    def die(self, words: str = "") -> NoReturn:
        print(words, file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def leave(self, code: int) -> NoReturn:
        os._exit(code)

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def wait(self) -> None:
        threading.Event().wait()

    def start_child(self) -> int:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"]).pid


def make_nothing() -> NoReturn:
    raise UserError("cannot be made", field="model.engine")


def wait_for_ever() -> NoReturn:
    threading.Event().wait()
    raise AssertionError
