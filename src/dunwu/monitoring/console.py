"""Progress of a long run in the terminal: one line a rollout and a live bar within it; plain lines in a pipe.

Everything that a model wrote is shown as text, never as markup or control characters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from dunwu.analysis import comparison_table
from dunwu.analysis.labels import format_duration, format_interval, format_number, is_breakdown, sanitize
from dunwu.analysis.next_steps import find_finished_models, find_program, suggest_next_steps
from dunwu.analysis.run_description import describe_run
from dunwu.errors import counted
from dunwu.monitoring.pace import read_time_left
from dunwu.runs import RunReader
from dunwu.types import Estimate

COLUMNS = (
    # header, name in metrics or timings, how it is written
    ("reward", "reward", "{:.3f}"),
    ("right", "accuracy", "{:.1%}"),
    ("format", "format", "{:.1%}"),
    ("length", "length", "{:,.1f}"),
    ("reflect", "reflections", "{:.2f}"),
    ("entropy", "entropy", "{:.3f}"),
    ("kl", "kl", "{:.4f}"),
)
"""What a rollout's row shows; ``reflect``: words of reflection per response. After these come the tokens generated per
second (metric ``tokens`` over timing ``rollout``; where nothing is generated, read, over ``update``) and the time
left."""

SUPERVISED = (("loss", "loss", "{:.4f}"), ("right", "accuracy", "{:.1%}"), ("lr", "lr", "{:.1e}"))
"""Of an update on conversations; ``right``: a reward model's."""

COMPLETIONS, NO_BREAK = "completions", "\N{NO-BREAK SPACE}"
REFRESH_SECONDS = 0.1
HEADER_EVERY = 20
FEW_ROWS = 40
BAR_WIDTH = 24


class ConsoleProgress:
    """See ``progress.Monitor``: lines for a person. Starts no thread: the bar moves when something is reported.

    Args:
        console: where to write; standard output by default.
        clock: seconds, monotonic; for what a bar counts and to keep it cheap.
        quiet: whether to leave out rows, the bar and all of the end but one line, as for logs.
        advises: whether a run ends with what can be done with it; one of many does not.
    """

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        quiet: bool = False,
        advises: bool = True,
    ) -> None:
        self.console = console or Console(highlight=False)
        self._clock, self._quiet, self._advises = clock, quiet, advises
        self._bar: Bar | None = None
        self._what, self._shown = COMPLETIONS, ""
        self._shown_since, self._first_shown = 0.0, 0
        self._last_refresh = 0.0
        self._rows = 0
        self._place_shown, self._timed = -1, True
        self._number, self._stage, self._stage_began = "", "", 0.0
        self._columns: Sequence[tuple[str, str, str]] = COLUMNS
        self._run: Path | None = None

    @property
    def table_width(self) -> int | None:
        """Columns of the terminal; None where nothing but a line is wanted."""
        return None if self._quiet else self.console.width

    def start_run(self, run: RunReader) -> None:
        """Say in three sentences what the run is; the time left is read off it from here on."""
        self._close_bar()
        self._run = run.directory
        what = Text(sanitize(" ".join(describe_run(run.recipe))))
        self.console.print(what, soft_wrap=not self.console.is_terminal)

    def number_stage(self, number: int, stages: int) -> None:
        """Remember the place of the next stage, which is shown beside its name where there are several."""
        self._number = f"[{number}/{stages}] " if stages > 1 else ""
        self._stage_began = self._clock()

    def end_stage(self, name: str) -> None:
        """Say how long a stage took, where there are several."""
        self._close_bar()
        if self._number:
            took = format_duration(self._clock() - self._stage_began)
            self._line(f"{self._number}{sanitize(name)} done in {took}", "dim")

    def start_stage(self, name: str, description: str, *, step: int = 0) -> None:
        """Print a heading, and count the stage's time from here on."""
        self._close_bar()
        self.console.print()
        resumed = f", resumed at step {step}" if step else ""
        heading = Text.assemble(self._number, (sanitize(name), "bold"), f": {sanitize(description)}{resumed}")
        self.console.print(heading, soft_wrap=not self.console.is_terminal)
        self._stage, self._rows, self._place_shown = name, 0, -1
        self._stage_began = self._clock()

    def start_evaluation(self, checkpoint: str, set_name: str, completions: int) -> None:
        """Name what the bar counts until the evaluation ends; in a pipe print it."""
        self._close_bar()
        self._what = f"evaluating {sanitize(checkpoint)} on {sanitize(set_name)}"
        if not self.console.is_terminal:
            self._line(f"{self._what}: {counted(completions, 'answer')}", "dim")
        self.count_completions(0, completions)

    def count_completions(self, done: int, total: int) -> None:
        """Move the bar: ``done`` of ``total`` completions are finished."""
        self.show_activity(self._what, done, total)

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Show what goes on until the next line, on a terminal only: with a bar where it can be counted."""
        if self._quiet or not self.console.is_terminal:
            return
        now = self._clock()
        recent = now - self._last_refresh < REFRESH_SECONDS
        if what == self._shown and recent and (total is None or done < total):
            return
        self._last_refresh = now
        if what != self._shown:
            self._close_bar()
            self._shown, self._shown_since, self._first_shown = what, now, done
        made = done - self._first_shown
        left = format_duration((now - self._shown_since) / made * (total - done)) if total and made else ""
        self._draw_bar(done, total, left)

    def _draw_bar(self, done: int, total: int | None, left: str) -> None:
        """Draw what goes on, with the time that it still takes in words."""
        if self._bar is None:
            columns: list[ProgressColumn] = [TextColumn("  {task.description}")]
            bar = [BarColumn(bar_width=BAR_WIDTH), MofNCompleteColumn(), TextColumn("{task.fields[left]}")]
            columns += [] if total is None else bar
            self._bar = Bar(*columns, console=self.console, auto_refresh=False, transient=True)
            self._bar.add_task(escape(self._shown) + (" ..." if total is None else ""), total=total, left="")
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, left=left, refresh=True)

    def log_step(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Print one line for a rollout or an update; a header before the first and now and then.

        The columns are those of COLUMNS that a stage's first row has; where it has none, its first metrics by name. Of
        a stage that writes nothing, whose updates are many and short, at most FEW_ROWS are shown.
        """
        if self._quiet:
            return
        self._close_bar()
        if self._rows == 0:
            self._columns, self._timed = _columns(metrics), "tokens" in metrics
        if "reward" not in metrics and not self._is_due(step, total_steps):
            return
        width = 2 * len(str(total_steps)) + 2
        if self._rows % HEADER_EVERY == 0:
            names = "".join(f"{header:>8}" for header, _, _ in self._columns)
            speed = f"{'tok/s':>8}" if self._timed else ""
            self._line(f"{'step':>{width}}{names}{speed}{'left':>8}", "dim")
        self._rows += 1
        cells = [f"{form.format(metrics[name]) if name in metrics else '-':>8}" for _, name, form in self._columns]
        if self._timed:
            seconds = timings.get("rollout") or timings.get("update", 0.0)
            known = seconds and "tokens" in metrics
            cells.append(f"{metrics['tokens'] / seconds:>8,.0f}" if known else f"{'-':>8}")
        self._line(
            f"{f'{step}/{total_steps}':>{width}}{''.join(cells)}{read_time_left(self._run, self._stage) or '-'!s:>8}"
        )

    def _is_due(self, step: int, total_steps: int) -> bool:
        """Whether a row is one of the few that are shown: the first, the last, and evenly spaced ones."""
        place = step * FEW_ROWS // max(total_steps, 1)
        due = place > self._place_shown or step == total_steps or self._rows == 0
        self._place_shown = max(place, self._place_shown)
        return due

    def log_message(self, text: str) -> None:
        """Print one plain line."""
        self._close_bar()
        self._line(sanitize(text))

    def log_evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """Print one line: right answers and what judges say with their 95 % intervals, and the mean length."""
        self._close_bar()
        self._what = COMPLETIONS
        shown = [
            f"{name} {format_number(name, estimate.value, estimate)} ({format_interval(name, estimate)})"
            for name, estimate in results.items()
            if not is_breakdown(name)
            and (name.startswith(("pass@", "cons@")) or ("@" not in name and name not in comparison_table.SUPPORTING))
        ]
        shown += [
            f"{name} {format_number(name, results[name].value)}"
            for name in ("length", "reflections")
            if name in results
        ]
        text = f"{sanitize(checkpoint)} on {sanitize(set_name)}: " + ", ".join(
            result.replace(" ", NO_BREAK) for result in shown
        )
        width = self.console.width if self.console.is_terminal else len(text)
        for line in wrap(text, width, subsequent_indent="  ", break_on_hyphens=False):
            self._line(line.replace(NO_BREAK, " "), "cyan")

    def show(self, renderable: RenderableType) -> None:
        """Print a table or a text; a text is broken into lines on a terminal only."""
        self._close_bar()
        pipe = not self.console.is_terminal
        self.console.print(renderable, soft_wrap=pipe and isinstance(renderable, Text))

    def finish_run(self, run: RunReader, report: Path, seconds: float) -> None:
        """Say where the report lies, and what can be done with the run."""
        self._close_bar()
        blank = "" if self._quiet else "\n"
        self._line(f"{blank}Done in {format_duration(seconds)}. Report: {report}")
        if self._advises and not self._quiet:
            self._advise(run)

    def _advise(self, run: RunReader) -> None:
        self.console.print("Next:")
        for command, purpose in suggest_next_steps(
            run, find_program()
        ):  # to be copied as they stand, so no line is broken
            self.console.print(Text.assemble((f"  # {purpose}\n", "dim"), f"  {sanitize(command)}"), soft_wrap=True)
        for folder in list(find_finished_models(run))[-1:]:
            self.console.print(Text(f"The model, an ordinary transformers folder: {folder}"), soft_wrap=True)

    def close(self) -> None:
        """Take the bar away and give the cursor back."""
        self._close_bar()

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._shown = None, ""


def _columns(metrics: Mapping[str, float]) -> Sequence[tuple[str, str, str]]:
    known = [column for column in (COLUMNS if "reward" in metrics else SUPERVISED) if column[1] in metrics]
    return known or [(name[:7], name, "{:.4g}") for name in sorted(metrics)[: len(COLUMNS)]]
