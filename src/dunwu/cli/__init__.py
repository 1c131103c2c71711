"""The command line: arguments in, exit codes out. Everything else is imported by the command that needs it."""

from dunwu.cli.quiet import ctrl_c_ends

with ctrl_c_ends():
    from dunwu.cli import recipes  # noqa: F401 -- its commands join those of main
    from dunwu.cli.commands import main

__all__ = ["main"]
