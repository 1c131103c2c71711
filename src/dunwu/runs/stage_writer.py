"""Writing one stage's part of a run directory: rows first, then the checkpoint that stands for them."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dunwu.runs import answer_tables, checkpoints
from dunwu.runs.atomic import atomic_directory, atomic_remove, atomic_write, make_directory
from dunwu.runs.jsonl import append_numbers, cut_numbers
from dunwu.runs.records import AnswerRow, Cost
from dunwu.runs.stage_reader import TRAINED, StageReader, rank_checkpoint, require_name
from dunwu.types import Estimate, ScoredGroup

logger = logging.getLogger(__name__)

Writing = Callable[[], AbstractContextManager[None]]
"""Opened around writes that may take long."""


class StageWriter(StageReader):
    """Writes a stage; only the process that holds the run's lock has one.

    Args:
        path: DIR/stages/NAME.
        keep: How many checkpoints stay.
        on_finish: Called when the stage is finished.
        writing: Opened while checkpoints and models are written.
    """

    def __init__(self, path: Path, *, keep: int, on_finish: Callable[[], None], writing: Writing = nullcontext) -> None:
        super().__init__(path)
        self._writing = writing
        self._keep = keep
        self._on_finish = on_finish
        for folder in ("rollouts", "evaluations", "checkpoints"):
            make_directory(path / folder)

    def append(self, step: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Add one line to metrics.jsonl and one to timings.jsonl; both are durable on return.

        Args:
            step: Updates done, at least 1.
            metrics: Numbers by name.
            timings: Seconds by name.
        """
        assert step > 0, "rows count the updates done: the first has step >= 1"
        append_numbers(self.path / "metrics.jsonl", step, metrics)
        append_numbers(self.path / "timings.jsonl", step, timings)

    def append_costs(self, step: int, costs: Mapping[str, Cost]) -> None:
        """Add a line to ledger.jsonl, which no ``rewind`` takes away: what is made again is paid for twice.

        Args:
            step: Updates done.
            costs: By module.
        """
        numbers = {
            f"{module}/{field}": value for module, cost in costs.items() for field, value in cost._asdict().items()
        }
        append_numbers(self.path / "ledger.jsonl", step, numbers)

    def write_rollouts(self, step: int, groups: Sequence[ScoredGroup]) -> None:
        """Store the completions of one step, in the order given."""
        assert step > 0, "rows count the updates done: the first has step >= 1"
        answer_tables.write_answers(
            answer_tables.locate_rollouts(self.path, step),
            answer_tables.make_rows(groups, step=step),
            answer_tables.ROLLOUTS,
        )

    def write_evaluation(
        self, checkpoint: str, set_name: str, rows: Sequence[AnswerRow], results: Mapping[str, Estimate]
    ) -> None:
        """Store one evaluation.

        Args:
            checkpoint: ``base``, a step, ``trained``, or a model.
            set_name: The set.
            rows: The answers.
            results: By quantity. They are written last: an evaluation without them was cut short and is not read.
        """
        folder = self.path / "evaluations" / require_name(checkpoint)
        make_directory(folder)
        text = json.dumps({name: asdict(estimate) for name, estimate in results.items()}, indent=2, allow_nan=False)
        answer_tables.write_answers(folder / f"{require_name(set_name)}.parquet", rows, answer_tables.HELD_OUT)
        atomic_write(folder / f"{set_name}.json", text.encode())

    def save_checkpoint(self, step: int, write: Callable[[Path], None], state: Mapping[str, Any]) -> None:
        """Save a checkpoint; older ones are removed only then.

        Args:
            step: Updates done.
            write: Puts the trainer's files into an empty folder.
            state: What is kept beside them as JSON.
        """
        with self._writing():
            checkpoints.save(self.path / "checkpoints", step, write, state)
        checkpoints.prune(self.path / "checkpoints", self._keep)

    def rewind(self, step: int, *, ended: bool = False) -> None:
        """Cut off whatever is past a checkpoint, so that it can be made again.

        Args:
            step: Its step; 0: there is no checkpoint.
            ended: Whether training had ended there. Otherwise evaluations of the trained model are removed, too;
                those of the base always stay.
        """
        cut_numbers(self.path / "metrics.jsonl", step)
        cut_numbers(self.path / "timings.jsonl", step)
        cut_numbers(self.path / "ledger.jsonl", math.inf)  # a torn end alone
        for later in self.list_rollout_steps():
            if later > step:
                atomic_remove(answer_tables.locate_rollouts(self.path, later))
        for folder in sorted((self.path / "evaluations").iterdir()):
            place = rank_checkpoint(folder.name)
            if place is not None and place > (0, step) and not (ended and folder.name == TRAINED):
                atomic_remove(folder)
        checkpoints.cut(self.path / "checkpoints", step)
        checkpoints.prune(self.path / "checkpoints", self._keep)
        if lost := self.find_lost_metrics():
            logger.warning("%s; they cannot be made again, and the run goes on", lost)

    def finish(self, write_model: Callable[[Path], None] | None = None) -> None:
        """Mark the stage as done, after storing its result where it has one.

        Args:
            write_model: Puts a model into an empty folder, an ordinary transformers folder then.
        """
        if write_model is not None:
            with self._writing():
                atomic_directory(self.model, write_model)
        self._on_finish()
