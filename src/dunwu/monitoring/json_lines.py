"""Progress for logs: next to nothing, or one JSON object a line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from dunwu.analysis.labels import format_duration
from dunwu.analysis.run_description import describe_run
from dunwu.monitoring.console import Progress
from dunwu.runs import RunReader
from dunwu.types import Estimate


class QuietProgress(Progress):
    """Stages, evaluations and the end; no line for each rollout, no bar."""

    def doing(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Nothing."""

    def row(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """Nothing but what trackers are told."""
        self.track(step, {**metrics, **timings})

    def finished(self, run: RunReader, report: Path, seconds: float) -> None:
        """One line."""
        self.message(f"Done in {format_duration(seconds)}. Report: {report}")


class JsonProgress(Progress):
    """Every event as a line: {"event": "row", "stage": ..., "step": ..., "of": ..., "left_seconds": ..., numbers}."""

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__()
        self._file = file or sys.stdout

    def pipeline(self, number: int, stages: int) -> None:
        """Nothing: stages have names."""

    def run_started(self, run: RunReader) -> None:
        """``run``."""
        self._run = run.directory
        self._write("run", what=describe_run(run.recipe), planned_seconds=run.planned_seconds)

    def stage_started(self, name: str, description: str, *, step: int = 0) -> None:
        """``stage``."""
        self.begin(name, step)
        self._write("stage", stage=name, what=description, step=step)

    def stage_ended(self, name: str) -> None:
        """``stage_done``."""
        self._write("stage_done", stage=name)

    def evaluation_started(self, checkpoint: str, set_name: str, completions: int) -> None:
        """``evaluating``."""
        self._write("evaluating", stage=self.stage, checkpoint=checkpoint, set=set_name, completions=completions)

    def doing(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Nothing: rows are enough."""

    def row(self, step: int, total_steps: int, metrics: Mapping[str, float], timings: Mapping[str, float]) -> None:
        """``row``."""
        left, numbers = self.time_left(), {"seconds": dict(timings), **metrics}
        seconds = round(left.seconds, 1) if left else None
        self._write("row", stage=self.stage, step=step, of=total_steps, left_seconds=seconds, **numbers)
        self.track(step, {**metrics, **timings})

    def message(self, text: str) -> None:
        """``message``."""
        self._write("message", text=text)

    def evaluation(self, checkpoint: str, set_name: str, results: Mapping[str, Estimate]) -> None:
        """``evaluation``."""
        found = {name: asdict(estimate) for name, estimate in results.items()}
        self._write("evaluation", stage=self.stage, checkpoint=checkpoint, set=set_name, results=found)
        self.track_evaluation(checkpoint, set_name, results)

    def finished(self, run: RunReader, report: Path, seconds: float) -> None:
        """``finished``."""
        self._write("finished", report=str(report), seconds=round(seconds, 1), summary=run.read_summary())

    def _write(self, event: str, **fields: Any) -> None:
        print(json.dumps(_finite({"event": event, **fields})), file=self._file, flush=True)


def _finite(value: Any) -> Any:
    """With null for what JSON lacks."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


MODES = {"rich": Progress, "quiet": QuietProgress, "json": JsonProgress}
"""By the names that ``dunwu run --log`` takes."""
