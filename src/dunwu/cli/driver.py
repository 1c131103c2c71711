"""The child process in which a command works that can be resumed: ``python -m dunwu.cli.driver CHANNEL PROGRAM ...``.

``cli/supervisor.py`` starts it. It is the whole command line, but for what its parent owns.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from dunwu.cli.application import main
from dunwu.cli.signals import end_at_signals
from dunwu.commands.parent import connect
from dunwu.pipeline.interrupts import PASSED_ON


def drive(channel: int, program: str, arguments: Sequence[str]) -> None:
    """Run a command, and end the process.

    Args:
        channel: The descriptor of a socket to the parent.
        program: The name by which the parent was started.
        arguments: The command's.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the parent, too, which says what to do
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(PASSED_ON, signal.SIG_IGN)  # but while there is a run
    end_at_signals()
    sys.argv = [program, *arguments]
    main.work(say_end=connect(channel).say_end, prog_name="dunwu")


if __name__ == "__main__":
    drive(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
