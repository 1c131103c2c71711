"""What a run says of itself while it goes on. Stages speak to ``Progress`` and know nobody behind it.

ConsoleProgress   a person at a terminal, or a pipe
NotebookProgress  a person at a notebook: one output a cell
JsonProgress      one JSON object a line
Trackers          TensorBoard, W&B, trackio
Broadcast         several of them at once
Silent            nobody
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # stages import this module, and load no rich
    from pathlib import Path

    from rich.console import RenderableType

    from dunwu.runs import RunReader
    from dunwu.types import Estimate


class Progress(Protocol):
    """Takes what a run says."""

    def start_run(self, run: RunReader) -> None:
        """Take a run that begins or goes on; what is shown of the time left is read off its directory."""

    def number_stage(self, number: int, stages: int) -> None:
        """Take the place of the next stage among all of the run, counted from 1."""

    def start_stage(self, name: str, description: str, *, step: int = 0) -> None:
        """Take a stage that begins, or goes on after ``step`` updates.

        Args:
            name: the recipe's.
            description: what it does, one line.
            step: updates done.
        """

    def end_stage(self, name: str) -> None:
        """Take a stage that is done."""

    def start_evaluation(self, checkpoint: str, set_name: str, completions: int) -> None:
        """Take an evaluation that begins: completions are counted as its answers until it ends.

        Args:
            checkpoint: the name of the weights.
            set_name: the evaluation set's.
            completions: answers that there will be.
        """

    def count_completions(self, done: int, total: int) -> None:
        """Take how many completions of a rollout or an evaluation are finished."""

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Take what goes on now.

        Args:
            what: a few words.
            done: how far it is, where it can be counted.
            total: how far it goes; None: it cannot be counted.
        """

    def log_step(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Take the numbers of a rollout or an update.

        Args:
            step: updates done in the stage.
            total_steps: updates of the whole stage.
            metrics: as they are written down.
            timings: seconds by name.
        """

    def log_evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """Take the results of an evaluation.

        Args:
            checkpoint: the name of the weights.
            set_name: the evaluation set's.
            results: each quantity with its 95 % interval.
        """

    def log_message(self, text: str) -> None:
        """Take one line for people."""


class Monitor(Progress, Protocol):
    """A progress that a command opens and closes; it also shows how a run ended."""

    @property
    def table_width(self) -> int | None:
        """Columns that there are for tables; None where nobody looks at tables."""

    def show(self, renderable: RenderableType) -> None:
        """Show a table or a text."""

    def finish_run(self, run: RunReader, report: Path, seconds: float) -> None:
        """Take the end of a run.

        Args:
            run: all that it has written.
            report: where its report lies.
            seconds: what all its processes worked.
        """

    def close(self) -> None:
        """Give back whatever is held, however the run ended; may be called again."""


class Silent:
    """Takes everything and shows nothing; others are written as what they do beside that."""

    table_width: int | None = None

    def start_run(self, run: RunReader) -> None:
        """Show nothing."""

    def number_stage(self, number: int, stages: int) -> None:
        """Show nothing."""

    def start_stage(self, name: str, description: str, *, step: int = 0) -> None:
        """Show nothing."""

    def end_stage(self, name: str) -> None:
        """Show nothing."""

    def start_evaluation(self, checkpoint: str, set_name: str, completions: int) -> None:
        """Show nothing."""

    def count_completions(self, done: int, total: int) -> None:
        """Show nothing."""

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Show nothing."""

    def log_step(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Show nothing."""

    def log_evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """Show nothing."""

    def log_message(self, text: str) -> None:
        """Show nothing."""

    def show(self, renderable: RenderableType) -> None:
        """Show nothing."""

    def finish_run(self, run: RunReader, report: Path, seconds: float) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Hold nothing."""


class Broadcast:
    """Passes everything on to several, in their order."""

    def __init__(self, *progresses: Progress) -> None:
        self._progresses = progresses

    def start_run(self, run: RunReader) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.start_run(run)

    def number_stage(self, number: int, stages: int) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.number_stage(number, stages)

    def start_stage(self, name: str, description: str, *, step: int = 0) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.start_stage(name, description, step=step)

    def end_stage(self, name: str) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.end_stage(name)

    def start_evaluation(self, checkpoint: str, set_name: str, completions: int) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.start_evaluation(checkpoint, set_name, completions)

    def count_completions(self, done: int, total: int) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.count_completions(done, total)

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.show_activity(what, done, total)

    def log_step(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.log_step(step, total_steps, metrics, timings)

    def log_evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.log_evaluation(checkpoint, set_name, results)

    def log_message(self, text: str) -> None:
        """See ``Progress``."""
        for each in self._progresses:
            each.log_message(text)
