"""Ctrl-C before a command's own work has begun, and after it has ended: the process ends, and says nothing.

Python's own handler raises KeyboardInterrupt wherever the main thread is, in an import too, and shows a traceback.
Where somebody else handles SIGINT, or it is ignored, it is left alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | int | None


@contextmanager
def ctrl_c_ends() -> Iterator[None]:
    """Inside, SIGINT ends the process at once (shells say 130)."""
    with _instead(signal.default_int_handler, signal.SIG_DFL):
        yield


@contextmanager
def ctrl_c_raises() -> Iterator[None]:
    """Inside ``ctrl_c_ends``: SIGINT raises KeyboardInterrupt again."""
    with _instead(signal.SIG_DFL, signal.default_int_handler):
        yield


def end_at_ctrl_c() -> None:
    """As ``ctrl_c_ends``, for the rest of the process."""
    _change(signal.default_int_handler, signal.SIG_DFL)


@contextmanager
def _instead(old: Handler, new: Handler) -> Iterator[None]:
    changed = _change(old, new)
    try:
        yield
    finally:
        if changed:
            signal.signal(signal.SIGINT, old)


def _change(old: Handler, new: Handler) -> bool:
    if signal.getsignal(signal.SIGINT) != old:
        return False
    try:
        signal.signal(signal.SIGINT, new)
    except ValueError:  # not the main thread: no signal comes here
        return False
    return True
