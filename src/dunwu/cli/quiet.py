"""Signals before a command's own work has begun, and after it has ended: the process ends, and shows no traceback.

Python's own handler of Ctrl-C raises KeyboardInterrupt wherever the main thread is, in an import too, and shows a
traceback. A run obeys SIGTERM and SIGHUP with one line and a code that says "go on later"; whoever asks it in its first
second, while libraries are imported, hears the same. Where somebody else handles a signal, or it is ignored, it is left
alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dunwu.pipeline.interrupts import end_process

Handler = Callable[[int, FrameType | None], object] | int | None
NOTHING_LOST = "asked to stop while nothing was being made; the same command goes on"


def _end(number: int, frame: FrameType | None) -> None:
    end_process(NOTHING_LOST)


ENDING: dict[int, tuple[Handler, Handler]] = {
    signal.SIGINT: (signal.default_int_handler, signal.SIG_DFL),
    signal.SIGTERM: (signal.SIG_DFL, _end),
    signal.SIGHUP: (signal.SIG_DFL, _end),
}
"""Of each signal its handler as Python sets it, and the one that ends the process."""


@contextmanager
def signals_end() -> Iterator[None]:
    """Inside, SIGINT ends the process at once without a word (shells say 130), SIGTERM and SIGHUP with one line."""
    changed = end_at_signals()
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, ENDING[number][0])


def end_at_signals() -> list[int]:
    """As ``signals_end``, for the rest of the process.

    Returns:
        The signals whose handlers were changed.
    """
    return [number for number, (python_s, ending) in ENDING.items() if _change(number, python_s, ending)]


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Inside ``signals_end``: SIGINT raises KeyboardInterrupt again."""
    python_s, ending = ENDING[signal.SIGINT]
    changed = _change(signal.SIGINT, ending, python_s)
    try:
        yield
    finally:
        if changed:
            signal.signal(signal.SIGINT, ending)


def stops_kill() -> None:
    """For commands that cannot be gone on with: SIGTERM and SIGHUP kill the process again, as they do by default."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        _change(number, _end, signal.SIG_DFL)


def _change(number: int, old: Handler, new: Handler) -> bool:
    """Return whether ``old`` handled the signal, and ``new`` does now."""
    if signal.getsignal(number) != old:
        return False
    try:
        signal.signal(number, new)
    except ValueError:  # not the main thread: no signal comes here
        return False
    return True
