"""One stage's part of the run directory. The layout stands in docs/reference/run-directory.md.

A row's ``step`` (of metrics, timings, rollouts) counts the updates done when it is written, so it is at least 1, and a
checkpoint at step s stands for everything with a step up to s. Write those rows first, then the checkpoint.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from dunwu.errors import UserError
from dunwu.runs import checkpoints, comparison, server_records, stage_data, tables
from dunwu.runs.atomic import atomic_directory, atomic_remove, atomic_write, make_directory
from dunwu.runs.checkpoints import is_step, step_of
from dunwu.runs.comparison import Compared, Curve, Pair
from dunwu.runs.derived import Derived
from dunwu.runs.file_signature import mark
from dunwu.runs.jsonl import append_numbers, cut_numbers, read_numbers
from dunwu.runs.records import Checkpoint, Evaluation, EvaluationRow, RolloutRow, Spent
from dunwu.runs.regular_files import regular
from dunwu.runs.server_records import ServerRecord
from dunwu.runs.stage_data import Counts, Review
from dunwu.types import Estimate, Example, ScoredGroup

logger = logging.getLogger(__name__)

Writing = Callable[[], AbstractContextManager[None]]

ABLATION = "ablation"
"""The name under which the causal check of a stage's reflection is kept."""
BASE, TRAINED = "base", "trained"
"""Evaluations before the first update and after the last one; those between are named by :func:`step_name`, those of an
evaluation stage by its models."""


class StageReader:
    """Reads what a stage has written so far, also while another process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The stage's name in the recipe."""
        return self.path.name

    @property
    def model(self) -> Path:
        """Where the finished model lies."""
        return self.path / "model"

    @property
    def data(self) -> Path:
        """Where the conversations lie that the stage made."""
        return stage_data.data_file(self.path)

    @property
    def review_file(self) -> Path:
        """Where people decide on these."""
        return stage_data.review_file(self.path)

    @property
    def derived(self) -> Derived:
        """What readers made of it and keep beside it."""
        return Derived(self.path)

    def read_counts(self) -> Counts:
        """See :func:`dunwu.runs.stage_data.read_counts`."""
        return stage_data.read_counts(self.path)

    def read_conversations(self, count: int) -> list[dict[str, Any]]:
        """See :func:`dunwu.runs.stage_data.read_first`."""
        return stage_data.read_first(self.path, count)

    def read_metrics(self) -> list[dict[str, float]]:
        """One mapping a rollout, in order, with its ``step``; numbers that were not finite are left out."""
        return read_numbers(self.path / "metrics.jsonl")

    def read_timings(self) -> list[dict[str, float]]:
        """As :meth:`read_metrics`, for wall-clock times."""
        return read_numbers(self.path / "timings.jsonl")

    def read_ledger(self) -> dict[str, Spent]:
        """What each module's work has cost, over all processes; see :meth:`StageDirectory.spend`."""
        total: dict[str, Spent] = {}
        for _, modules in self.read_spendings():
            for module, spent in modules.items():
                total[module] = total.get(module, Spent(0.0, 0, 0.0)) + spent
        return total

    def read_spendings(self) -> list[tuple[int, dict[str, Spent]]]:
        """The lines of the ledger: the step, and what each module's work cost."""
        lines = []
        for row in read_numbers(self.path / "ledger.jsonl"):
            modules = {name.partition("/")[0] for name in row} - {"step"}
            spent = {
                module: Spent(*(row.get(f"{module}/{field}", 0.0) for field in Spent._fields))  # type: ignore[arg-type]
                for module in modules
            }
            lines.append((int(row["step"]), spent))
        return lines

    def rollout_steps(self) -> list[int]:
        """The steps whose rollouts are stored, ascending."""
        return sorted(
            step_of(path.stem) for path in (self.path / "rollouts").glob("step-*.parquet") if is_step(path.stem)
        )

    def read_rollouts(self, step: int | None = None) -> list[RolloutRow]:
        """The completions of one step, or of all. Raises UserError where that step has none."""
        steps = self.rollout_steps()
        if step is not None and step not in steps:
            raise UserError(f"has no rollout of step {step}", file=self.path)
        return [
            row
            for s in steps
            if step in (None, s)
            for row in tables.read_rollout_rows(tables.rollouts_file(self.path, s))
        ]

    def read_texts(self, step: int) -> pa.Table:
        """The ``prompt`` and ``completion`` of each row of one step, nothing else, as a table. Raises UserError where
        that step has none, or its file cannot be read."""
        return tables.read_texts(tables.rollouts_file(self.path, step))

    def read_evaluations(self, checkpoint: str | None = None, *, rows: bool = True) -> list[Evaluation]:
        """All evaluations, or those of one checkpoint: ``base`` first, the steps, ``trained``, then models by name.

        Without ``rows`` their results alone, which takes no time.
        """
        found = []
        for file in (self.path / "evaluations").glob("*/*.json"):
            if "." in (file.name[0], file.parent.name[0]) or checkpoint not in (None, file.parent.name):
                continue
            place = _order(file.parent.name)
            if place is None and not file.with_suffix(".parquet").exists():
                continue  # none of ours
            results = _read_results(file)
            answers = tuple(tables.read_evaluation_rows(file.with_suffix(".parquet"))) if rows else ()
            evaluation = Evaluation(checkpoint=file.parent.name, set=file.stem, results=results, rows=answers)
            found.append((place or (2, 0), file.parent.name, file.stem, evaluation))
        return [entry[-1] for entry in sorted(found, key=lambda entry: entry[:-1])]

    @property
    def evaluated(self) -> set[str]:
        """The checkpoints and models of which an evaluation is there."""
        return {file.parent.name for file in (self.path / "evaluations").glob("*/*.json")}

    def read_results(self, set_name: str) -> dict[str, dict[str, Estimate]]:
        """The results of a set, without its answers, by checkpoint: ``base``, the steps, ``trained``."""
        files = {file.parent.name: file for file in (self.path / "evaluations").glob(f"*/{set_name}.json")}
        places = sorted((place, name) for name in files if (place := _order(name)))
        return {name: _read_results(files[name]) for _, name in places}

    def read_compared(self) -> Compared:
        """What was found when the stage's models were comparison. Raises UserError where the file is damaged."""
        return comparison.read(self.path)

    def read_servers(self) -> dict[str, ServerRecord]:
        """See :func:`dunwu.runs.server_records.read`."""
        return server_records.read(self.path)

    def lost_metrics(self) -> str | None:
        """Say which rows of metrics are gone though the stage has what was written after them.

        Returns:
            A line; None where nothing is missing.

        Raises:
            UserError: metrics.jsonl cannot be read.
        """
        stored, saved = self.rollout_steps(), checkpoints.newest_step(self.path / "checkpoints")
        known = {row["step"] for row in self.read_metrics()}  # last: rows are written before what belongs to them
        file, lost = self.path / "metrics.jsonl", [step for step in stored if step not in known]
        if lost:
            steps = f"steps {lost[0]:,} to {lost[-1]:,}"
            return f"{file}: has no line for {len(lost):,} of {len(stored):,} stored rollouts, {steps}"
        last = int(max(known, default=0))
        return f"{file}: ends at step {last:,}, before the checkpoint of step {saved:,}" if last < saved else None

    @property
    def numbers_mark(self) -> str:
        """Another text where metrics, timings or ledger have changed."""
        return " ".join(mark(self.path / name) for name in ("metrics.jsonl", "timings.jsonl", "ledger.jsonl"))

    @property
    def evaluations_mark(self) -> str:
        """Another text where an evaluation has come or gone; "" while there is none."""
        files = sorted((self.path / "evaluations").glob("*/*.json"))
        return " ".join(f"{file.parent.name}/{file.name} {mark(file)}" for file in files)

    def newest_checkpoint(self) -> Checkpoint | None:
        """See :func:`dunwu.runs.checkpoints.newest`."""
        return checkpoints.newest(self.path / "checkpoints")


class StageDirectory(StageReader):
    """Writes a stage; only the process that holds the run's lock has one.

    Args:
        path: DIR/stages/NAME.
        keep: how many checkpoints stay.
        mark_done: tells the run's manifest that the stage is finished.
        writing: open while checkpoints and models are written, which may take long.
    """

    def __init__(self, path: Path, *, keep: int, mark_done: Callable[[], None], writing: Writing = nullcontext) -> None:
        super().__init__(path)
        self._writing = writing
        self._keep = keep
        self._mark_done = mark_done
        for folder in ("rollouts", "evaluations", "checkpoints"):
            make_directory(path / folder)

    def append(self, step: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Adds one line to metrics.jsonl and one to timings.jsonl; both are durable on return."""
        assert step > 0, "rows count the updates done: the first has step >= 1"
        append_numbers(self.path / "metrics.jsonl", step, metrics)
        append_numbers(self.path / "timings.jsonl", step, timings)

    def spend(self, step: int, modules: Mapping[str, Spent]) -> None:
        """Adds a line to ledger.jsonl, which no ``rewind`` takes away; durable on return."""
        numbers = {
            f"{module}/{field}": value for module, spent in modules.items() for field, value in spent._asdict().items()
        }
        append_numbers(self.path / "ledger.jsonl", step, numbers)

    def write_rollouts(self, step: int, groups: Sequence[ScoredGroup]) -> None:
        """Stores the completions of one step, in the order given, as Parquet (zstd)."""
        assert step > 0, "rows count the updates done: the first has step >= 1"
        tables.write_rollout_rows(tables.rollouts_file(self.path, step), tables.rollout_rows(step, groups))

    def write_evaluation(
        self, checkpoint: str, set_name: str, rows: Sequence[EvaluationRow], results: Mapping[str, Estimate]
    ) -> None:
        """Stores one evaluation. Its .json comes last: an evaluation without it was cut short and is not read."""
        folder = self.path / "evaluations" / checked_name(checkpoint)
        make_directory(folder)
        text = json.dumps({name: asdict(estimate) for name, estimate in results.items()}, indent=2, allow_nan=False)
        tables.write_evaluation_rows(folder / f"{checked_name(set_name)}.parquet", rows)
        atomic_write(folder / f"{set_name}.json", text.encode())

    def write_compared(self, pairs: Sequence[Pair], curves: Sequence[Curve]) -> None:
        """Stores what was found when the stage's models were comparison."""
        comparison.write(self.path, pairs, curves)

    def write_server(self, model: str, record: ServerRecord) -> None:
        """See :func:`dunwu.runs.server_records.write`."""
        server_records.write(self.path, model, record)

    def chunks(self) -> int:
        """See :func:`dunwu.runs.stage_data.chunks`."""
        return stage_data.chunks(self.path)

    def write_chunk(self, number: int, examples: Sequence[Example], counts: Mapping[str, Mapping[str, float]]) -> None:
        """See :func:`dunwu.runs.stage_data.write_chunk`."""
        stage_data.write_chunk(self.path, number, examples, counts)

    def join_chunks(self) -> Counts:
        """See :func:`dunwu.runs.stage_data.join_chunks`."""
        return stage_data.join_chunks(self.path)

    def review(self) -> Review:
        """See :func:`dunwu.runs.stage_data.review`."""
        return stage_data.review(self.path)

    def save_checkpoint(self, step: int, write: Callable[[Path], None], state: Mapping[str, Any]) -> None:
        """Saves what ``write`` puts into an empty folder, and ``state`` as JSON; old checkpoints go only then."""
        with self._writing():
            checkpoints.save(self.path / "checkpoints", step, write, state)
        checkpoints.prune(self.path / "checkpoints", self._keep)

    def rewind(self, step: int, *, ended: bool = False) -> None:
        """Cuts off whatever is past the checkpoint at ``step`` (0: no checkpoint), so that it can be made again.

        Evaluations of the base stay; those of the trained model go, unless training had ``ended`` at this checkpoint.
        """
        cut_numbers(self.path / "metrics.jsonl", step)
        cut_numbers(self.path / "timings.jsonl", step)
        cut_numbers(self.path / "ledger.jsonl", math.inf)  # a torn end alone
        for later in self.rollout_steps():
            if later > step:
                atomic_remove(tables.rollouts_file(self.path, later))
        for folder in sorted((self.path / "evaluations").iterdir()):
            place = _order(folder.name)
            if place is not None and place > (0, step) and not (ended and folder.name == TRAINED):
                atomic_remove(folder)
        checkpoints.cut(self.path / "checkpoints", step)
        checkpoints.prune(self.path / "checkpoints", self._keep)
        if lost := self.lost_metrics():
            logger.warning("%s; they cannot be made again, and the run goes on", lost)

    def finish(self, write_model: Callable[[Path], None] | None = None) -> None:
        """Stores the stage's result, an ordinary transformers folder, where it has one, and marks the stage as done."""
        if write_model is not None:
            with self._writing():
                atomic_directory(self.model, write_model)
        self._mark_done()


def checked_name(name: str) -> str:
    """A name that is safe as a file name. Raises UserError where it is not."""
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise UserError(f"the name {name!r} may hold letters, digits and . _ - + only, as it names a file")
    return name


def _order(checkpoint: str) -> tuple[int, int] | None:
    """Where an evaluation of a stage's own model stands among the others; None for any other name."""
    if is_step(checkpoint):
        return 0, step_of(checkpoint)
    return {BASE: (0, 0), TRAINED: (1, 0)}.get(checkpoint)


def _read_results(path: Path) -> dict[str, Estimate]:
    try:
        found = json.loads(regular(path).read_text(encoding="utf-8")).items()
        return {
            name: Estimate(**{field: _finite(value) for field, value in estimate.items()}) for name, estimate in found
        }
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"holds no results of an evaluation: {error}", file=path) from error


def _finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no finite number")
    return float(value)
