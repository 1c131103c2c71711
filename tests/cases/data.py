"""Area ``data``: what becomes of a row, or of a file, of a data set."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.pipeline.benchmarking import task_of
from dunwu.tasks.files import FileTask
from tests.cases.running import Case
from tests.published import FILES, write


def check(case: Case) -> bool | None:
    """Whether the kind's own check finds what the case expects; None for other kinds."""
    decide = KINDS.get(case["kind"])
    return None if decide is None else decide(case)


def published_row(case: Case) -> bool:
    """A row as a data set has it is read, or refused where the case says so."""
    bench, row = case["input"]["bench"], case["input"]["row"]
    with tempfile.TemporaryDirectory() as folder:
        return (_golds(bench, write(Path(folder) / "rows.jsonl", [row])) is not None) is (case["expected"] == "read")


def published_file(case: Case) -> bool:
    """A file of the form that its name says has the problems that its rows have as JSON lines."""
    bench, rows = case["input"]["bench"], [known.row for known in FILES[case["input"]["bench"]]]
    with tempfile.TemporaryDirectory() as folder:
        lines, file = write(Path(folder) / "rows.jsonl", rows), Path(folder) / case["input"]["file"]
        if file.suffix == ".csv":
            _write_csv(file, rows)
        else:
            file.write_text(json.dumps(rows), encoding="utf-8")
        found = _golds(bench, file)
        return found is not None and found == _golds(bench, lines)


def _golds(bench: str, path: Path) -> list[str] | None:
    """Every gold of a file; None where it is refused."""
    spec = TaskSpec.model_validate({**task_of(bench, path), "held_out": 0.0, "max_bad_rows": 0.0})
    try:
        return [problem.gold for problem in FileTask(spec, 0).training()]
    except UserError:
        return None


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row), restval="")
        table.writeheader()
        table.writerows(rows)


KINDS: Mapping[str, Callable[[Case], bool | None]] = {"F1": published_row, "F4": published_file}
