"""Which monitor shows a run: lines for people, in a terminal or a notebook, or JSON lines for programs."""

from __future__ import annotations

from typing import Literal, get_args

from dunwu.errors import UserError
from dunwu.monitoring.progress import Monitor

Log = Literal["rich", "quiet", "json"]
"""Rows and a bar; a few lines; a JSON object a line."""


def open_monitor(log: Log) -> Monitor:
    """Open what shows the work that this process does; in a notebook that is an output of the running cell.

    Raises:
        UserError: It is no such name.
    """
    if log not in get_args(Log):
        raise UserError(f"{log!r:.40} is none of {', '.join(get_args(Log))}", field="log")
    if log == "json":
        from dunwu.monitoring.json_lines import JsonProgress

        return JsonProgress()
    from dunwu.monitoring.notebook import NotebookProgress, find_shell

    if find_shell() is not None:
        return NotebookProgress(quiet=log == "quiet")
    from dunwu.monitoring.console import ConsoleProgress

    return ConsoleProgress(quiet=log == "quiet")
