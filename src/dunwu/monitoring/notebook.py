"""Progress in a notebook: the lines of the terminal in one output of the cell, and a bar below them."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any

from markupsafe import Markup
from rich.console import Console

from dunwu.monitoring.console import ConsoleProgress

WIDTH = 100
"""Columns of the lines."""
LINES = Markup('<pre style="line-height: 1.3; overflow-x: auto">{}</pre>')
BAR = Markup("<div><progress{}></progress> {}</div>")


def find_shell() -> Any:
    """Return the shell of the notebook that this process serves; None where it serves none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None


class NotebookProgress(ConsoleProgress):
    """See ``progress.Monitor``: the lines of a terminal, and its bar, in one output that each cell has of its own.

    Args:
        clock: Seconds, monotonic.
        quiet: Whether to leave out rows, the bar and all of the end but one line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, quiet: bool = False) -> None:
        self._output = CellOutput()
        console = Console(
            file=self._output,
            width=WIDTH,
            force_terminal=True,
            force_jupyter=False,
            color_system=None,
            highlight=False,
        )
        super().__init__(console, clock, quiet=quiet, advises=False)  # what it advises are commands of a shell

    def _draw_bar(self, done: int, total: int | None, left: str) -> None:
        if total is None:
            self._output.draw(BAR.format("", f"{self._shown} ..."))
        else:
            filled = Markup(' value="{}" max="{}"').format(done, total)
            self._output.draw(BAR.format(filled, f"{self._shown} {done:,}/{total:,} {left}".rstrip()))

    def _close_bar(self) -> None:
        self._shown = ""
        self._output.draw(Markup(""))


class CellOutput(io.StringIO):
    """A text that the running cell shows while it is written; a cell that goes on with it begins an output anew."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = Markup("")
        self._handle: Any = None
        self._cell = -1

    def flush(self) -> None:
        """Show what is written."""
        self._show()

    def draw(self, bar: Markup) -> None:
        """Show a bar below the text; an empty one takes it away."""
        if bar != self._bar:
            self._bar = bar
            self._show()

    def _show(self) -> None:
        from IPython.display import display

        cell = getattr(find_shell(), "execution_count", 0)
        if cell != self._cell and self._handle is not None:
            self.seek(0)
            self.truncate()
        text = self.getvalue()
        lines = LINES.format(text) if text else Markup("")
        data = {"text/html": lines + self._bar, "text/plain": text}
        if cell != self._cell or self._handle is None:
            self._handle, self._cell = display(data, raw=True, display_id=True), cell
        else:
            self._handle.update(data, raw=True)
