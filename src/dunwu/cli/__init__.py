"""The command line: arguments in, exit codes out. Everything else is imported by the command that needs it."""

from dunwu.cli.quiet import signals_end

with signals_end():
    from dunwu.cli import commands, inspection, recipes  # noqa: F401 -- their commands join those of main
    from dunwu.cli.application import main

__all__ = ["main"]
