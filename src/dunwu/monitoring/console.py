"""Progress of a long run in the terminal: one line a rollout and a live bar within it; plain lines in a pipe.

Everything that a model wrote is shown as text, never as markup or control characters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from textwrap import wrap

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from dunwu.analysis import comparison_table, costs
from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.labels import (
    format_duration,
    format_interval,
    format_number,
    format_p_value,
    is_breakdown,
    sanitize,
)
from dunwu.analysis.next_steps import find_finished_models, find_program, suggest_next_steps
from dunwu.analysis.paper_costs import describe_paper_costs
from dunwu.analysis.remaining_time import TimeLeft, estimate_time_left
from dunwu.analysis.results import find_last_evaluations, is_model_comparison, read_paired_tests
from dunwu.analysis.run_description import describe_run
from dunwu.errors import counted
from dunwu.monitoring.trackers import Trackers
from dunwu.observatory.terminal_tables import before_and_after, ledger_table, models_table, summary_table, telling_pair
from dunwu.runs import BASE, Pair, RunReader
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
MOST_PAIRS = 12
BAR_WIDTH = 24


class Progress:
    """What the pipeline tells a person while it runs. Starts no thread: the bar moves when it is told to.

    Args:
        console: where to write; standard output by default.
        clock: seconds, monotonic; for what a bar counts and to keep it cheap.
        advises: whether a run ends with what can be done with it; one of many does not.
    """

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic, *, advises: bool = True
    ) -> None:
        self.console = console or Console(highlight=False)
        self._clock, self._advises = clock, advises
        self._bar: Bar | None = None
        self._what, self._shown = COMPLETIONS, ""
        self._shown_since, self._first_shown = 0.0, 0
        self._last_refresh = 0.0
        self._step, self._rows = 0, 0
        self._place_shown, self._timed = -1, True
        self._place, self._stage_began = "", 0.0
        self._columns: Sequence[tuple[str, str, str]] = COLUMNS
        self._run: Path | None = None
        self.stage = ""
        self.trackers: Trackers | None = None
        """Who else is told of rows and evaluations."""

    def run_started(self, run: RunReader) -> None:
        """Say in three sentences what the run is; the time left is read off it from here on."""
        self._close_bar()
        self._run = run.directory
        told = Text(sanitize(" ".join(describe_run(run.recipe))))
        self.console.print(told, soft_wrap=not self.console.is_terminal)

    def pipeline(self, number: int, stages: int) -> None:
        """Which of how many stages comes next; told with its name where there are several."""
        self._place = f"[{number}/{stages}] " if stages > 1 else ""

    def stage_ended(self, name: str) -> None:
        """How long a stage took, where there are several."""
        self._close_bar()
        if self._place:
            self._line(
                f"{self._place}{sanitize(name)} done in {format_duration(self._clock() - self._stage_began)}", "dim"
            )

    def stage_started(self, name: str, description: str, *, step: int = 0) -> None:
        """Announces a stage.

        Args:
            name: The recipe's.
            description: One line.
            step: Where it begins or was resumed.
        """
        self._close_bar()
        self.console.print()
        resumed = f", resumed at step {step}" if step else ""
        heading = Text.assemble(self._place, (sanitize(name), "bold"), f": {sanitize(description)}{resumed}")
        self.console.print(heading, soft_wrap=not self.console.is_terminal)
        self.begin(name, step)

    def begin(self, name: str, step: int) -> None:
        """Counts a stage's time from here on."""
        self.stage = name
        self._step, self._rows, self._place_shown = step, 0, -1
        self._stage_began = self._clock()

    def time_left(self) -> TimeLeft | None:
        """What the whole run still takes, as watch and report say it; None where that is not known."""
        run, stage = self._run, self.stage
        return read_or_default(lambda: estimate_time_left(RunReader(run), stage), None, []) if run else None

    def track(self, step: int, numbers: Mapping[str, float]) -> None:
        """Tells the trackers of a row."""
        self._step = step
        if self.trackers:
            self.trackers.numbers(self.stage, step, numbers)

    def track_evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """Tells the trackers of an evaluation; one of the base stands at 0, others where the stage is."""
        if self.trackers:
            step = 0 if checkpoint == BASE else self._step
            values = {f"{set_name}/{name}": estimate.value for name, estimate in results.items()}
            self.trackers.numbers(self.stage, step, values)

    def evaluation_started(self, checkpoint: str, set_name: str, completions: int) -> None:
        """Names what the bar counts until the evaluation ends."""
        self._close_bar()
        self._what = f"evaluating {sanitize(checkpoint)} on {sanitize(set_name)}"
        if not self.console.is_terminal:
            self._line(f"{self._what}: {counted(completions, 'answer')}", "dim")
        self.rollout_progress(0, completions)

    def rollout_progress(self, done: int, total: int) -> None:
        """Moves the bar: ``done`` of ``total`` completions are finished."""
        self.doing(self._what, done, total)

    def doing(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Shows what goes on, until the next line: with a bar where it can be counted. On a terminal only."""
        now = self._clock()
        recent = now - self._last_refresh < REFRESH_SECONDS
        if not self.console.is_terminal or (what == self._shown and recent and (total is None or done < total)):
            return
        self._last_refresh = now
        if self._bar is None or what != self._shown:
            self._close_bar()
            columns: list[ProgressColumn] = [TextColumn("  {task.description}")]
            bar = [BarColumn(bar_width=BAR_WIDTH), MofNCompleteColumn(), TextColumn("{task.fields[left]}")]
            columns += [] if total is None else bar
            self._bar = Bar(*columns, console=self.console, auto_refresh=False, transient=True)
            self._bar.add_task(escape(what) + (" ..." if total is None else ""), total=total, left="")
            self._bar.start()
            self._shown, self._shown_since, self._first_shown = what, now, done
        made = done - self._first_shown
        left = format_duration((now - self._shown_since) / made * (total - done)) if total and made else ""
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, left=left, refresh=True)

    def row(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """One line for the rollout that has just been learned from; a header before the first and now and then.

        The columns are those of COLUMNS that a stage's first row has; where it has none, its first metrics by name. Of
        a stage that writes nothing, whose updates are many and short, at most FEW_ROWS are shown.
        """
        self._close_bar()
        self.track(step, {**metrics, **timings})
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
        self._line(f"{f'{step}/{total_steps}':>{width}}{''.join(cells)}{self.time_left() or '-'!s:>8}")

    def _is_due(self, step: int, total_steps: int) -> bool:
        """Whether a row is one of the few that are shown: the first, the last, and evenly spaced ones."""
        place = step * FEW_ROWS // max(total_steps, 1)
        due = place > self._place_shown or step == total_steps or self._rows == 0
        self._place_shown = max(place, self._place_shown)
        return due

    def message(self, text: str) -> None:
        """One plain line."""
        self._close_bar()
        self._line(sanitize(text))

    def evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """One line: right answers and what judges say with their 95 % intervals, and the mean length."""
        self._close_bar()
        self._what = COMPLETIONS
        told = [
            f"{name} {format_number(name, estimate.value, estimate)} ({format_interval(name, estimate)})"
            for name, estimate in results.items()
            if not is_breakdown(name)
            and (name.startswith(("pass@", "cons@")) or ("@" not in name and name not in comparison_table.SUPPORTING))
        ]
        told += [
            f"{name} {format_number(name, results[name].value)}"
            for name in ("length", "reflections")
            if name in results
        ]
        text = f"{sanitize(checkpoint)} on {sanitize(set_name)}: " + ", ".join(
            result.replace(" ", NO_BREAK) for result in told
        )
        width = self.console.width if self.console.is_terminal else len(text)
        for line in wrap(text, width, subsequent_indent="  ", break_on_hyphens=False):
            self._line(line.replace(NO_BREAK, " "), "cyan")
        self.track_evaluation(checkpoint, set_name, results)

    def close(self) -> None:
        """Takes the bar away and gives the cursor back, whatever ended the run; ends the trackers."""
        self._close_bar()
        if self.trackers:
            self.trackers.close()

    def finished(self, run: RunReader, report: Path, seconds: float) -> None:
        """The end of a run: costs, base against trained, a problem that training mended, where the report lies."""
        self._close_bar()
        spent = list(costs.read_costs(run))
        if len(run.stages) > 1 and spent:
            self.console.print()
            self.console.print(ledger_table(spent))
            if costs.is_comparable_to_paper(run):
                self._line(describe_paper_costs(), "dim")
        if found := find_last_evaluations(run):
            stage, by_set = found
            self.console.print()
            shown = comparison_table.compare_models(by_set)
            models = is_model_comparison(run, stage)
            self.console.print(models_table(shown, self.console.width) if models else summary_table(by_set))
            if pair := telling_pair(by_set):
                self.console.print()
                self.console.print(before_and_after(*pair))
            if models:
                self._pairs(read_paired_tests(run, by_set))
        self._line(f"\nDone in {format_duration(seconds)}. Report: {report}")
        if self._advises:
            self._advise(run)

    def _advise(self, run: RunReader) -> None:
        self.console.print("Next:")
        for command, purpose in suggest_next_steps(
            run, find_program()
        ):  # to be copied as they stand, so no line is broken
            self.console.print(Text.assemble((f"  # {purpose}\n", "dim"), f"  {sanitize(command)}"), soft_wrap=True)
        for folder in list(find_finished_models(run))[-1:]:
            self.console.print(Text(f"The model, an ordinary transformers folder: {folder}"), soft_wrap=True)

    def _pairs(self, pairs: Sequence[Pair]) -> None:
        if len(pairs) > MOST_PAIRS:
            self._line(f"{len(pairs):,} paired tests of these models stand in the report.", "dim")
            return
        for pair in pairs:
            better, other, more = pair.model, pair.against, pair.difference
            if more.value < 0:  # the better one comes first, in whatever order they were named
                better, other, more = other, better, Estimate(value=-more.value, low=-more.high, high=-more.low)
            value, low, high = (f"{100 * bound:+.1f}" for bound in astuple(more))
            text = f"{better} against {other} on {pair.set}: {value} points ({low} to {high}), "
            self._line(f"{sanitize(text)}p {format_p_value(pair.p)}; the same {counted(pair.problems, 'problem')}")

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=not self.console.is_terminal)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._shown = None, ""


def _columns(metrics: Mapping[str, float]) -> Sequence[tuple[str, str, str]]:
    known = [column for column in (COLUMNS if "reward" in metrics else SUPERVISED) if column[1] in metrics]
    return known or [(name[:7], name, "{:.4g}") for name in sorted(metrics)[: len(COLUMNS)]]
