"""Files of rows, and the entries of a recipe that read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dunwu.config.schema import TaskSpec

FIELDS = {"problem": "q", "answer": "a"}
ROWS = [{"q": f"What is {n} + 1?", "a": n + 1, "hard": f"Level {n % 3}"} for n in range(100)]


def spec(path: Path, **changes: Any) -> TaskSpec:
    return TaskSpec.model_validate({"task": "file", "path": path, "fields": FIELDS} | changes)


def lines(path: Path, rows: list[Any]) -> Path:
    """Writes rows: bytes as they are, the rest as JSON."""
    path.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return path
