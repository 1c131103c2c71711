"""The command line as a process: which command gets a child to work in, and how the process ends."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import typer

from dunwu.cli.signals import end_at_signals
from dunwu.cli.supervisor import Supervisor
from dunwu.errors import INTERRUPTED

RESUMABLE = ("run", "eval", "reproduce")
"""Commands that go on where they were stopped, with exit code 3."""


class CommandLine(typer.Typer):
    """The application as the last act of its process.

    A signal outside a command's work ends the process without a traceback. A run that was stopped does not take its
    memory apart, which on a busy machine costs as long as everything else of a stop.
    """

    def __call__(self, arguments: list[str] | None = None, **extra: Any) -> Any:
        """Run a command, one that can be resumed in a child process, and end the process."""
        end_at_signals()
        given = sys.argv[1:] if arguments is None else arguments
        if given[:1] and given[0] in RESUMABLE:
            raise SystemExit(Supervisor(given).run())
        return self.work(arguments, **extra)

    def work(
        self,
        arguments: list[str] | None = None,
        *,
        say_end: Callable[[int], object] = lambda code: None,
        **extra: Any,
    ) -> Any:
        """Run a command in this process, and end it.

        Args:
            arguments: As they were typed; None: this process's.
            say_end: Called with the exit code when everything has been said.
            extra: For typer.
        """
        try:
            return super().__call__(arguments, **extra)
        except SystemExit as end:
            say_end(end.code if isinstance(end.code, int) else int(end.code is not None))
            if end.code == INTERRUPTED:
                atexit._run_exitfuncs()
                with suppress(OSError):  # a terminal that is gone
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(INTERRUPTED)
            raise
