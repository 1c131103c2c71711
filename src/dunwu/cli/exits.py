"""What a command's end means: 0 done; 2 the user's input is wrong; 3 interrupted and resumable; 1 a fault of ours; 130
Ctrl-C where nothing can be resumed."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from dunwu.cli.quiet import ctrl_c_raises, end_at_signals
from dunwu.errors import INTERRUPTED, Fault, Interrupted, UserError

DONE, FAULT, WRONG_INPUT, KEYBOARD = 0, 1, 2, 130


class CommandLine(typer.Typer):
    """Called, it is the process's last act: a signal outside a command's work ends it without a traceback, and a run
    that was stopped does not take its memory apart, which on a busy machine costs as long as all else of a stop."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        end_at_signals()
        try:
            return super().__call__(*args, **kwargs)
        except SystemExit as end:
            if end.code == INTERRUPTED:
                atexit._run_exitfuncs()
                with suppress(OSError):  # a terminal that is gone
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(INTERRUPTED)
            raise


class ExitCodes(TyperGroup):
    """Turns what escapes a command into one line on stderr and the exit code that scripts rely on."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        asked = bool(args)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except Exception as error:
            if asked and hasattr(error, "format_message"):
                raise _usage(error) from None
            raise  # without arguments: typer shows the help

    def invoke(self, ctx: Any) -> Any:
        try:
            with ctrl_c_raises():
                return super().invoke(ctx)
        except UserError as error:
            raise _exit(WRONG_INPUT, f"error: {error}") from None
        except Interrupted as error:
            raise _exit(INTERRUPTED, str(error)) from None
        except Fault as error:
            raise _exit(FAULT, f"fault: {error}") from error
        except KeyboardInterrupt:
            raise _exit(KEYBOARD, "interrupted") from None
        except BrokenPipeError:
            raise  # whoever read our output has left; typer ends quietly
        except Exception as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                raise  # a group without a command: typer shows its help
            if hasattr(error, "format_message"):
                raise _usage(error) from None
            if type(error).__module__.startswith(("click", "typer")):
                raise  # typer's own: it knows its Exit
            if os.environ.get("DUNWU_DEBUG") == "1":
                traceback.print_exc()
            summary = " ".join(f"{type(error).__name__}: {error}".split())
            raise _exit(FAULT, f"fault: {summary} (DUNWU_DEBUG=1 shows where)") from error


def _usage(error: Any) -> typer.Exit:
    """A command line that typer does not understand, as one line; typer's own way takes four."""
    return _exit(WRONG_INPUT, f"error: {' '.join(error.format_message().split())}")


def _exit(code: int, line: str) -> typer.Exit:
    typer.echo(line, err=True)
    return typer.Exit(code)
