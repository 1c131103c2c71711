"""Exit codes: how a command ended.

0      done
1      a fault
2      the user's input is wrong
3      interrupted, and the same command with --resume goes on
130    Ctrl-C where nothing can be resumed
"""

from __future__ import annotations

import os
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from dunwu.cli.signals import raise_at_ctrl_c
from dunwu.errors import INTERRUPTED, Fault, Interrupted, UserError

DONE, FAULT, WRONG_INPUT, KEYBOARD = 0, 1, 2, 130


class ExitCodes(TyperGroup):
    """Turns what escapes a command into one line on stderr and the exit code that scripts rely on."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments; report what typer does not understand on one line."""
        asked = bool(args)
        try:
            return super().make_context(info_name, args, parent, **extra)
        except Exception as error:
            if asked and hasattr(error, "format_message"):
                raise _to_usage_exit(error) from None
            raise  # without arguments: typer shows the help

    def invoke(self, ctx: Any) -> Any:
        """Call the command, and end by the error that it raised."""
        try:
            with raise_at_ctrl_c():
                return super().invoke(ctx)
        except UserError as error:
            if error.__cause__ is not None:  # code of the user's raised it
                _print_trace()
            raise _print_exit(WRONG_INPUT, f"error: {error}") from None
        except Interrupted as error:
            raise _print_exit(INTERRUPTED, str(error)) from None
        except Fault as error:
            raise _print_exit(FAULT, f"fault: {error}") from error
        except SystemExit as error:  # code of the user's; our own commands leave by typer's Exit
            if isinstance(error.__context__, BrokenPipeError):  # rich says so where whoever read our output has left
                raise error.__context__ from None
            raise _print_exit(FAULT, f"fault: something called sys.exit({error.code!r:.40}) in the middle") from error
        except KeyboardInterrupt:
            raise _print_exit(KEYBOARD, "interrupted") from None
        except BrokenPipeError:
            raise  # whoever read our output has left; typer ends quietly
        except Exception as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                raise  # a group without a command: typer shows its help
            if hasattr(error, "format_message"):
                raise _to_usage_exit(error) from None
            if type(error).__module__.startswith(("click", "typer")):
                raise  # typer's own: it knows its Exit
            _print_trace()
            summary = " ".join(f"{type(error).__name__}: {error}".split())
            raise _print_exit(FAULT, f"fault: {summary} (DUNWU_DEBUG=1 shows where)") from error


def _to_usage_exit(error: Any) -> typer.Exit:
    """Print on one line what typer does not understand, where it would print four, and return the exit."""
    return _print_exit(WRONG_INPUT, f"error: {' '.join(error.format_message().split())}")


def _print_trace() -> None:
    """Print the traceback of the error that is handled, where the environment wants it."""
    if os.environ.get("DUNWU_DEBUG") == "1":
        traceback.print_exc()


def _print_exit(code: int, line: str) -> typer.Exit:
    typer.echo(line, err=True)
    return typer.Exit(code)
