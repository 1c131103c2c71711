"""The child process in which a command works that can be resumed: ``python -m dunwu.cli.driver CHANNEL PROGRAM ...``.

``cli/supervisor.py`` starts it. It is the whole command line, but for what its parent owns.
"""

from __future__ import annotations

import signal
import sys

from dunwu.cli.application import main
from dunwu.cli.signals import end_at_signals
from dunwu.commands.parent import connect, find_parent
from dunwu.pipeline.interrupts import PASSED_ON

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the parent, too, which says what to do
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(PASSED_ON, signal.SIG_IGN)  # but while there is a run
    channel, *sys.argv = sys.argv[1:]
    connect(int(channel))
    end_at_signals()
    main.work(say_end=find_parent().say_end, prog_name="dunwu")
