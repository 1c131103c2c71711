"""The command line: arguments in, exit codes out. Everything else is imported by the command that needs it."""

from dunwu.cli.signals import handle_early_signals

with handle_early_signals():
    from dunwu.cli import commands, export, inspection, recipes, talking  # noqa: F401 -- their commands join those of main
    from dunwu.cli.application import main

__all__ = ["main"]
