"""Signals before a command's own work has begun, and after it has ended: the process ends without a traceback.

Python's own handler of Ctrl-C raises KeyboardInterrupt wherever the main thread is, also within an import, and shows a
traceback. A run obeys SIGTERM and SIGHUP with one line and a code that says "go on later", also in its first second,
while libraries are imported. A signal that is ignored, or that somebody else handles, is left alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dunwu.pipeline.interrupts import end_process

Handler = Callable[[int, FrameType | None], object] | int | None
NOTHING_LOST = "asked to stop while nothing was being made; the same command goes on"


def _end_process(number: int, frame: FrameType | None) -> None:
    end_process(NOTHING_LOST)


ENDING: dict[int, tuple[Handler, Handler]] = {
    signal.SIGINT: (signal.default_int_handler, signal.SIG_DFL),
    signal.SIGTERM: (signal.SIG_DFL, _end_process),
    signal.SIGHUP: (signal.SIG_DFL, _end_process),
}
"""For each signal the handler that Python sets, and the one that ends the process."""


@contextmanager
def handle_early_signals() -> Iterator[None]:
    """Have SIGINT end the process at once without a word (shells say 130), SIGTERM and SIGHUP with one line."""
    changed = end_at_signals()
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, ENDING[number][0])


def end_at_signals() -> list[int]:
    """Have signals end the process from now on; return those whose handlers were changed."""
    return [number for number, (python_s, ending) in ENDING.items() if _change(number, python_s, ending)]


@contextmanager
def raise_at_ctrl_c() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt again, within ``handle_early_signals``."""
    python_s, ending = ENDING[signal.SIGINT]
    changed = _change(signal.SIGINT, ending, python_s)
    try:
        yield
    finally:
        if changed:
            signal.signal(signal.SIGINT, ending)


def let_signals_kill() -> None:
    """Have SIGTERM and SIGHUP kill the process, as they do by default; for commands that cannot be resumed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        _change(number, _end_process, signal.SIG_DFL)


def _change(number: int, old: Handler, new: Handler) -> bool:
    """Return whether ``old`` handled the signal, and ``new`` does now."""
    if signal.getsignal(number) != old:
        return False
    try:
        signal.signal(number, new)
    except ValueError:  # not the main thread: no signal comes here
        return False
    return True
