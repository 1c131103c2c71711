"""Reading one stage's part of a run directory. The layout stands in docs/reference/run-directory.md.

A row's ``step`` (of metrics, timings, rollouts) counts the updates done when it is written, so it is at least 1, and a
checkpoint at step s stands for everything with a step up to s.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from dunwu.errors import UserError
from dunwu.runs import answer_tables, checkpoints
from dunwu.runs.checkpoints import is_step, parse_step
from dunwu.runs.derived import Derived
from dunwu.runs.file_signature import file_signature
from dunwu.runs.generated_data import GeneratedData
from dunwu.runs.jsonl import read_numbers, read_numbers_table
from dunwu.runs.records import AnswerRow, Checkpoint, Cost, Evaluation
from dunwu.runs.regular_files import require_regular
from dunwu.runs.upgrade import RENAMED_METRICS, RENAMED_TIMINGS
from dunwu.types import Estimate

ABLATION = "ablation"
"""The name under which the causal check of a stage's reflection is kept."""
BASE, TRAINED = "base", "trained"
"""Evaluations before the first update and after the last one; those between are named by their step, such as
``step-000016``, those of an evaluation stage by its models."""


class StageReader:
    """Reads what a stage has written so far, also while another process writes it.

    Args:
        path: DIR/stages/NAME.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The stage's name in the recipe."""
        return self.path.name

    @property
    def model(self) -> Path:
        """Where the finished model lies, an ordinary transformers folder."""
        return self.path / "model"

    @property
    def generated(self) -> GeneratedData:
        """The conversations that the stage makes."""
        return GeneratedData(self.path)

    @property
    def derived(self) -> Derived:
        """What readers derived from the stage and keep beside it."""
        return Derived(self.path)

    def read_metrics(self) -> list[dict[str, float]]:
        """Read the metrics: a mapping for each rollout or update, with its ``step``, without numbers that are null.

        Raises:
            UserError: The file is damaged; names the line. So do all methods that read numbers.
        """
        return read_numbers(self.path / "metrics.jsonl", RENAMED_METRICS)

    def read_metrics_table(self) -> pa.Table:
        """Read the metrics as a table: ``step`` (int64), then the others by name (float64)."""
        return read_numbers_table(self.path / "metrics.jsonl", RENAMED_METRICS)

    def read_timings(self) -> list[dict[str, float]]:
        """Read wall-clock times, in seconds, like :meth:`read_metrics`."""
        return read_numbers(self.path / "timings.jsonl", RENAMED_TIMINGS)

    def read_costs(self) -> dict[str, Cost]:
        """Return what each module's work has cost, over all processes."""
        total: dict[str, Cost] = {}
        for _, costs in self.read_cost_lines():
            for module, cost in costs.items():
                total[module] = total.get(module, Cost(0.0, 0, 0.0)) + cost
        return total

    def read_cost_lines(self) -> list[tuple[int, dict[str, Cost]]]:
        """Return the lines of the ledger: a step, and what each module's work cost."""
        lines = []
        for row in read_numbers(self.path / "ledger.jsonl"):
            modules = {name.partition("/")[0] for name in row} - {"step"}
            costs = {
                module: Cost(*(row.get(f"{module}/{field}", 0.0) for field in Cost._fields))  # type: ignore[arg-type]
                for module in modules
            }
            lines.append((int(row["step"]), costs))
        return lines

    def list_rollout_steps(self) -> list[int]:
        """Return the steps whose rollouts are stored, ascending."""
        return sorted(
            parse_step(path.stem) for path in (self.path / "rollouts").glob("step-*.parquet") if is_step(path.stem)
        )

    def read_rollouts(self, step: int | None = None) -> list[AnswerRow]:
        """Read the completions of one step, or of all, as rows; raises as :meth:`read_rollout_table` does."""
        return [row for table in self._rollout_tables(step, None) for row in answer_tables.to_rows(table)]

    def read_rollout_table(self, step: int | None = None, columns: Collection[str] | None = None) -> pa.Table:
        """Read the completions of training as a table, one row each.

        Args:
            step: One rollout, by the updates done when it had been learned from; None: all.
            columns: The columns wanted; None: all.

        Returns:
            The fields of ``AnswerRow`` as columns; the parts of the score as ``part.NAME``, null where a completion
            has no such part. Without a column where nothing is stored.

        Raises:
            UserError: There is no rollout of that step, or its file cannot be read.
        """
        found = list(self._rollout_tables(step, columns))
        return answer_tables.join(found) if found else pa.table({})

    def _rollout_tables(self, step: int | None, columns: Collection[str] | None) -> Iterator[pa.Table]:
        steps = self.list_rollout_steps()
        if step is not None and step not in steps:
            raise UserError(f"has no rollout of step {step}", file=self.path)
        for stored in steps if step is None else (step,):
            yield answer_tables.read_rollouts(answer_tables.locate_rollouts(self.path, stored), columns)

    def read_evaluations(self, checkpoint: str | None = None, *, rows: bool = True) -> list[Evaluation]:
        """Read evaluations: ``base`` first, the steps, ``trained``, then models by name; within these, sets by name.

        Args:
            checkpoint: One checkpoint or model; None: all.
            rows: Whether their answers are read; without them it takes no time.

        Raises:
            UserError: A file is damaged.
        """
        return [
            Evaluation(
                checkpoint=file.parent.name,
                set=file.stem,
                results=_read_results(file),
                rows=tuple(answer_tables.to_rows(answer_tables.read_held_out(file.with_suffix(".parquet"))))
                if rows
                else (),
            )
            for file in self._evaluation_files(checkpoint)
        ]

    def read_held_out_table(self, checkpoint: str | None = None, columns: Collection[str] | None = None) -> pa.Table:
        """Read the answers to held-out problems as a table, one row each, in the order of :meth:`read_evaluations`.

        Args:
            checkpoint: One checkpoint or model; None: all.
            columns: The columns wanted beside ``checkpoint`` and ``set``; None: all.

        Returns:
            ``checkpoint``, ``set``, then columns as those of :meth:`read_rollout_table`. Without a column where
            nothing is stored.

        Raises:
            UserError: A file is damaged.
        """
        found = []
        for file in self._evaluation_files(checkpoint):
            table = answer_tables.read_held_out(file.with_suffix(".parquet"), columns)
            for place, (name, value) in enumerate({"checkpoint": file.parent.name, "set": file.stem}.items()):
                table = table.add_column(place, name, pa.repeat(value, len(table)))
            found.append(table)
        return answer_tables.join(found) if found else pa.table({})

    def _evaluation_files(self, checkpoint: str | None) -> list[Path]:
        """Return the results of each evaluation, in order; their answers lie beside them."""
        found = []
        for file in (self.path / "evaluations").glob("*/*.json"):
            if "." in (file.name[0], file.parent.name[0]) or checkpoint not in (None, file.parent.name):
                continue
            place = rank_checkpoint(file.parent.name)
            if place is None and not file.with_suffix(".parquet").exists():
                continue  # none of ours
            found.append((place or (2, 0), file.parent.name, file.stem, file))
        return [entry[-1] for entry in sorted(found)]

    def read_results(self, set_name: str) -> dict[str, dict[str, Estimate]]:
        """Return the results on one set of the stage's own model: ``base``, the steps, ``trained``."""
        files = {file.parent.name: file for file in (self.path / "evaluations").glob(f"*/{set_name}.json")}
        places = sorted((place, name) for name in files if (place := rank_checkpoint(name)))
        return {name: _read_results(files[name]) for _, name in places}

    def find_lost_metrics(self) -> str | None:
        """Say which rows of metrics are gone though the stage has what was written after them.

        Returns:
            A line; None where nothing is missing.

        Raises:
            UserError: metrics.jsonl cannot be read.
        """
        stored, saved = self.list_rollout_steps(), checkpoints.find_newest_step(self.path / "checkpoints")
        known = {row["step"] for row in self.read_metrics()}  # last: rows are written before what belongs to them
        file, lost = self.path / "metrics.jsonl", [step for step in stored if step not in known]
        if lost:
            steps = f"steps {lost[0]:,} to {lost[-1]:,}"
            return f"{file}: has no line for {len(lost):,} of {len(stored):,} stored rollouts, {steps}"
        last = int(max(known, default=0))
        return f"{file}: ends at step {last:,}, before the checkpoint of step {saved:,}" if last < saved else None

    @property
    def numbers_token(self) -> str:
        """A change token: another text where metrics, timings or ledger have changed."""
        return " ".join(file_signature(self.path / name) for name in ("metrics.jsonl", "timings.jsonl", "ledger.jsonl"))

    @property
    def evaluations_token(self) -> str:
        """A change token: another text where an evaluation has come or gone; "" while there is none."""
        files = sorted((self.path / "evaluations").glob("*/*.json"))
        return " ".join(f"{file.parent.name}/{file.name} {file_signature(file)}" for file in files)

    def find_newest_checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, passing over damaged ones; None where there is none.

        Raises:
            Fault: Every one is damaged.
        """
        return checkpoints.find_newest(self.path / "checkpoints")


def require_name(name: str) -> str:
    """Return a name that is safe as a file's.

    Raises:
        UserError: It is not.
    """
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise UserError(f"the name {name!r} may hold letters, digits and . _ - + only, as it names a file")
    return name


def rank_checkpoint(checkpoint: str) -> tuple[int, int] | None:
    """Return where an evaluation of a stage's own model stands among the others; None for any other name."""
    if is_step(checkpoint):
        return 0, parse_step(checkpoint)
    return {BASE: (0, 0), TRAINED: (1, 0)}.get(checkpoint)


def _read_results(path: Path) -> dict[str, Estimate]:
    try:
        found = json.loads(require_regular(path).read_text(encoding="utf-8")).items()
        return {
            name: Estimate(**{field: _to_finite(value) for field, value in estimate.items()})
            for name, estimate in found
        }
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"holds no results of an evaluation: {error}", file=path) from error


def _to_finite(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no finite number")
    return float(value)
