"""Threads in which requests with a form or with tools are read: what takes long to compile keeps no other waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from dunwu.errors import counted
from dunwu.serve.records import Busy, Stopped

THREADS: Final = 2
STOPPING: Final = "the server is about to stop"
Found = TypeVar("Found")


class FormThreads:
    """See the module. All is called in one event loop.

    Args:
        most: requests that may be here at once; as many as answers may wait, because each asks for one at least.
    """

    def __init__(self, most: int) -> None:
        self._most, self._count, self._closed = most, 0, False
        self._threads = ThreadPoolExecutor(THREADS, "form")

    async def run(self, work: Callable[..., Found], *args: Any, **options: Any) -> Found:
        """Call a function in one of the threads.

        Args:
            work: what is called.
            args: of it.
            options: of it, too.

        Returns:
            What it returns.

        Raises:
            Busy: too many requests are here.
            Stopped: the server ends, and this request had to wait.
        """
        if self._closed:
            raise Stopped(STOPPING)
        if self._count >= self._most:
            raise Busy(f"{counted(self._count, 'form')} wait or are read, and {self._most:,} may: ask again later")
        self._count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **options))
        except asyncio.CancelledError:  # nothing but the server's end cancels a request
            raise Stopped(STOPPING) from None
        finally:
            self._count -= 1

    def close(self) -> None:
        """Give up what waits."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
