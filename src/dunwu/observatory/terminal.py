"""Progress of a long run in the terminal: one line a rollout and a live bar within it; plain lines in a pipe.

Everything that a model wrote is shown as text, never as markup or control characters.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from dunwu import paper
from dunwu.observatory import beside, ledger
from dunwu.observatory.findings import (
    EvaluationsBySet,
    are_models,
    base_and_trained,
    last_evaluated,
    outcomes,
    paired,
)
from dunwu.observatory.reasoning import reflection
from dunwu.observatory.trackers import Trackers
from dunwu.observatory.wording import duration, interval, is_part, number, plain, probability, quantity
from dunwu.runs import BASE, TRAINED, EvaluationRow, Pair, RunReader
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

COMPLETIONS = "completions"
REFRESH_SECONDS = 0.1
HEADER_EVERY = 20
FEW_ROWS = 40
MOST_PAIRS = 12
SHOWN_CHARACTERS = 3000
RECENT = 5
"""Rollouts whose mean duration the time left is computed from."""


class Progress:
    """What the pipeline tells a person while it runs. Starts no thread: the bar moves when it is told to.

    Args:
        console: where to write; standard output by default.
        clock: seconds, monotonic; for the time left and to keep the bar cheap.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console or Console(highlight=False)
        self._clock = clock
        self._bar: Bar | None = None
        self._what = COMPLETIONS
        self._last_refresh = 0.0
        self._step = 0
        self._last_row = 0.0
        self._evaluating_since: float | None = None
        self._rows = 0
        self._place_shown, self._timed = -1, True
        self._place, self._stage_began = "", 0.0
        self._columns: Sequence[tuple[str, str, str]] = COLUMNS
        self._seconds_per_step: deque[float] = deque(maxlen=RECENT)
        self.stage = ""
        self.trackers: Trackers | None = None
        """Who else is told of rows and evaluations."""

    def pipeline(self, number: int, stages: int) -> None:
        """Which of how many stages comes next; told with its name where there are several."""
        self._place = f"[{number}/{stages}] " if stages > 1 else ""

    def stage_ended(self, name: str) -> None:
        """How long a stage took, where there are several."""
        self._close_bar()
        if self._place:
            self._line(f"{self._place}{plain(name)} done in {duration(self._clock() - self._stage_began)}", "dim")

    def stage_started(self, name: str, description: str, *, step: int = 0) -> None:
        """Announces a stage; ``step`` is where it begins or was resumed."""
        self._close_bar()
        self.console.print()
        resumed = f", resumed at step {step}" if step else ""
        heading = Text.assemble(self._place, (plain(name), "bold"), f": {plain(description)}{resumed}")
        self.console.print(heading, soft_wrap=True)
        self.begin(name, step)

    def begin(self, name: str, step: int) -> None:
        """Counts a stage's time from here on."""
        self.stage = name
        self._step, self._last_row, self._rows, self._place_shown = step, self._clock(), 0, -1
        self._stage_began = self._last_row
        self._seconds_per_step.clear()

    def left(self, step: int, total_steps: int) -> float:
        """The seconds that a stage still takes by the pace of its last rows, of which this is one."""
        now = self._clock()
        self._seconds_per_step.append((now - self._last_row) / max(step - self._step, 1))
        self._step, self._last_row = step, now
        return (total_steps - step) * sum(self._seconds_per_step) / len(self._seconds_per_step)

    def track(self, step: int, numbers: Mapping[str, float]) -> None:
        """Tells the trackers of a row."""
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
        self._what = f"evaluating {plain(checkpoint)} on {plain(set_name)}"
        self._evaluating_since = self._clock()
        if not self.console.is_terminal:
            self._line(f"{self._what}: {completions:,} answers", "dim")
        self.rollout_progress(0, completions)

    def rollout_progress(self, done: int, total: int) -> None:
        """Moves the bar: ``done`` of ``total`` completions are finished. On a terminal only; gone when it is full."""
        now = self._clock()
        if not self.console.is_terminal or (done < total and now - self._last_refresh < REFRESH_SECONDS):
            return
        self._last_refresh = now
        if self._bar is None:
            columns = (TextColumn("  {task.description}"), BarColumn(bar_width=32), MofNCompleteColumn())
            self._bar = Bar(*columns, console=self.console, auto_refresh=False, transient=True)
            self._bar.add_task(escape(self._what), total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, refresh=True)
        if done >= total:
            self._close_bar()

    def row(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """One line for the rollout that has just been learned from; a header before the first and now and then.

        The columns are those of COLUMNS that a stage's first row has; where it has none, its first metrics by name. Of
        a stage that writes nothing, whose updates are many and short, at most FEW_ROWS are shown.
        """
        self._close_bar()
        left = self.left(step, total_steps)
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
        self._line(f"{f'{step}/{total_steps}':>{width}}{''.join(cells)}{duration(left):>8}")

    def _is_due(self, step: int, total_steps: int) -> bool:
        """Whether a row is one of the few that are shown: the first, the last, and evenly spaced ones."""
        place = step * FEW_ROWS // max(total_steps, 1)
        due = place > self._place_shown or step == total_steps or self._rows == 0
        self._place_shown = max(place, self._place_shown)
        return due

    def message(self, text: str) -> None:
        """One plain line."""
        self._close_bar()
        self._line(plain(text))

    def evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """One line: right answers and what judges say with their 95 % intervals, and the mean length."""
        self._close_bar()
        if self._evaluating_since is not None:  # no part of a rollout, from which the time left is reckoned
            self._last_row += self._clock() - self._evaluating_since
            self._evaluating_since = None
        self._what = COMPLETIONS
        told = [
            f"{name} {number(name, estimate.value)} ({interval(name, estimate)})"
            for name, estimate in results.items()
            if not is_part(name)
            and (name.startswith(("pass@", "cons@")) or ("@" not in name and name not in beside.SUPPORTING))
        ]
        told += [f"{name} {number(name, results[name].value)}" for name in ("length", "reflections") if name in results]
        self._line(f"{plain(checkpoint)} on {plain(set_name)}: {', '.join(told)}", "cyan")
        self.track_evaluation(checkpoint, set_name, results)

    def close(self) -> None:
        """Takes the bar away and gives the cursor back, whatever ended the run; ends the trackers."""
        self._close_bar()
        if self.trackers:
            self.trackers.close()

    def finished(self, run: RunReader, report: Path, seconds: float) -> None:
        """The end of a run: costs, base against trained, a problem that training mended, where the report lies."""
        self._close_bar()
        costs = list(ledger.lines(run))
        if len(run.stages) > 1 and costs:
            self.console.print()
            self.console.print(ledger_table(costs))
            if ledger.is_like_the_paper(run):
                self._line(paper.beside(), "dim")
        if found := last_evaluated(run):
            stage, by_set = found
            self.console.print()
            shown = beside.of_run(by_set)
            models = are_models(run, stage)
            self.console.print(models_table(shown, self.console.width) if models else summary_table(by_set))
            if pair := _telling_pair(by_set):
                self.console.print()
                self.console.print(before_and_after(*pair))
            if models:
                self._pairs(paired(run, by_set))
        self._line(f"\nDone in {duration(seconds)}. Report: {report}")

    def _pairs(self, pairs: Sequence[Pair]) -> None:
        if len(pairs) > MOST_PAIRS:
            self._line(f"{len(pairs):,} paired tests of these models stand in the report.", "dim")
            return
        for pair in pairs:
            value, low, high = (f"{100 * bound:+.1f}" for bound in astuple(pair.difference))
            text = f"{pair.model} against {pair.against} on {pair.set}: {value} points ({low} to {high}), "
            self._line(f"{plain(text)}p {probability(pair.p)}; the same {pair.problems:,} problems")

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _columns(metrics: Mapping[str, float]) -> Sequence[tuple[str, str, str]]:
    known = [column for column in (COLUMNS if "reward" in metrics else SUPERVISED) if column[1] in metrics]
    return known or [(name[:7], name, "{:.4g}") for name in sorted(metrics)[: len(COLUMNS)]]


def summary_table(by_set: EvaluationsBySet) -> RenderableType:
    """Base against trained, or models beside each other, with 95 % intervals; a table for each set."""
    tables: list[RenderableType] = []
    for set_name, evaluations in by_set.items():
        shown = base_and_trained(evaluations) or evaluations
        problems = max((evaluation.problems for evaluation in shown), default=0)
        title = Text(f"{plain(set_name)}: {problems:,} held-out problems", style="bold")
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        table.add_column("")
        for evaluation in shown:
            table.add_column(plain(evaluation.checkpoint), justify="right")
        for name in dict.fromkeys(name for evaluation in shown for name in evaluation.results):
            cells = [_cell(name, evaluation.results.get(name)) for evaluation in shown]
            table.add_row(Text(plain(quantity(name).label)), *cells)
        tables.append(table)
    return Group(*tables, Text("In brackets: 95 % intervals.", style="dim"))


def models_table(shown: beside.Table, width: int) -> RenderableType:
    """Models beside each other, a row a benchmark; as many tables as it takes so that no number is cut."""
    labels, names = [plain(row.label) for row in shown.rows], [plain(model) for model in shown.models]
    room = width - max(map(len, labels))
    cell = max(len(row.cell(model)) for row in shown.rows for model in shown.models)
    cell = max(cell, min(max(map(len, names)), room // len(names) - 1))
    fitting = max(1, room // (cell + 1))
    tables = []
    for start in range(0, len(shown.models), fitting):
        models = shown.models[start : start + fitting]
        table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
        table.add_column("", no_wrap=True)
        for model in models:  # names go over lines instead
            name = plain(model) if len(plain(model)) <= cell else plain(model).replace("-", "-\n")
            table.add_column(name, justify="right", width=cell, overflow="fold")
        for label, row in zip(labels, shown.rows, strict=True):
            table.add_row(Text(label), *(Text(row.cell(model)) for model in models))
        tables.append(table)
    return Group(Text(shown.title, style="bold"), *tables, Text(shown.note, style="dim"))


def ledger_table(lines: list[ledger.Line]) -> RenderableType:
    """What each module of each stage cost."""
    title = Text("What it cost; FLOPs as reckoned from the model's shape", style="bold")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False)
    table.add_column("", no_wrap=True)
    for head in ledger.HEADS:
        table.add_column(head, justify="right")
    for line in (*lines, ledger.total(lines)):
        table.add_row(Text(plain(f"{line.stage} {line.module}".strip())), *ledger.cells(line))
    return table


def before_and_after(before: EvaluationRow, after: EvaluationRow) -> RenderableType:
    """One held-out problem as the base and as the trained model solve it, words of reflection marked."""
    heading = Text.assemble(
        ("A held-out problem: ", "bold"), plain(before.prompt.strip()), f"\nA right answer: {plain(before.gold)}"
    )
    beside = Table.grid(expand=True)
    for _ in range(2):
        beside.add_column(ratio=1)
    beside.add_row(_answer(BASE, before), _answer(TRAINED, after))
    return Group(heading, beside)


def _telling_pair(by_set: EvaluationsBySet) -> tuple[EvaluationRow, EvaluationRow] | None:
    """The typical pair of the first set, of a kind that training mended where there is one."""
    pair = base_and_trained(next(iter(by_set.values())))
    found = outcomes(*pair) if pair else []
    return found[0].examples[0] if found else None


def _cell(name: str, estimate: Estimate | None) -> Text:
    if estimate is None:
        return Text("-")
    return Text.assemble((number(name, estimate.value), "bold"), (f" [{interval(name, estimate)}]", "dim"))


def _answer(checkpoint: str, row: EvaluationRow) -> Panel:
    shown = plain(row.text.strip())
    more = len(shown) - SHOWN_CHARACTERS
    text = Text(
        shown if more <= 0 else f"{shown[:SHOWN_CHARACTERS]}\n... and {more:,} characters more", overflow="fold"
    )
    for start, end in reflection.spans(text.plain):
        text.stylize("bold yellow", start, end)
    verdict, colour = ("right", "green") if row.correct else ("wrong", "red")
    title = Text(f"{checkpoint}: {verdict}, reflects {row.reflections} times")
    return Panel(text, title=title, border_style=colour)
