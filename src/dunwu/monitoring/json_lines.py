"""Progress for programs: one JSON object a line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from dunwu.analysis.run_description import describe_run
from dunwu.monitoring.pace import read_time_left
from dunwu.monitoring.progress import Silent
from dunwu.runs import RunReader
from dunwu.types import Estimate


class JsonProgress(Silent):
    """See ``progress.Monitor``: every event as a line.

    ``{"event": "row", "stage": ..., "step": ..., "of": ..., "left_seconds": ..., numbers}``; what goes on between them
    is no event.

    Args:
        file: where to write; standard output by default.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file or sys.stdout
        self._run: Path | None = None
        self._stage = ""

    def start_run(self, run: RunReader) -> None:
        """Write ``run``."""
        self._run = run.directory
        self._write("run", what=describe_run(run.recipe), planned_seconds=run.planned_seconds)

    def start_stage(self, name: str, description: str, *, step: int = 0) -> None:
        """Write ``stage``."""
        self._stage = name
        self._write("stage", stage=name, what=description, step=step)

    def end_stage(self, name: str) -> None:
        """Write ``stage_done``."""
        self._write("stage_done", stage=name)

    def start_evaluation(self, checkpoint: str, set_name: str, completions: int) -> None:
        """Write ``evaluating``."""
        self._write("evaluating", stage=self._stage, checkpoint=checkpoint, set=set_name, completions=completions)

    def log_step(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Write ``row``."""
        left, numbers = read_time_left(self._run, self._stage), {"seconds": dict(timings), **metrics}
        seconds = round(left.seconds, 1) if left else None
        self._write("row", stage=self._stage, step=step, of=total_steps, left_seconds=seconds, **numbers)

    def log_evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """Write ``evaluation``."""
        found = {name: asdict(estimate) for name, estimate in results.items()}
        self._write("evaluation", stage=self._stage, checkpoint=checkpoint, set=set_name, results=found)

    def log_message(self, text: str) -> None:
        """Write ``message``."""
        self._write("message", text=text)

    def finish_run(self, run: RunReader, report: Path, seconds: float) -> None:
        """Write ``finished``."""
        self._write("finished", report=str(report), seconds=round(seconds, 1), summary=run.read_summary())

    def _write(self, event: str, **fields: Any) -> None:
        print(json.dumps(_replace_non_finite({"event": event, **fields})), file=self._file, flush=True)


def _replace_non_finite(value: Any) -> Any:
    """Put null for the numbers that JSON lacks."""
    if isinstance(value, dict):
        return {name: _replace_non_finite(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
