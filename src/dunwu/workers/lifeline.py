"""A process that ends when another does, whatever either of them is in: computing, stopped, or killed.

The one holds the end of a pipe that nothing is ever written to. When it is gone, by whatever death, the system closes
that end, and sends SIGKILL to the other. PR_SET_PDEATHSIG would do the same for the thread that started the process,
not for its process.
"""

from __future__ import annotations

import fcntl
import os
import signal


def tie(descriptor: int) -> None:
    """Have the system kill this process when the writing end of a pipe is closed everywhere; Linux alone does.

    Args:
        descriptor: the pipe's reading end.
    """
    if not hasattr(fcntl, "F_SETSIG"):
        return
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
