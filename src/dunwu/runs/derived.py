"""What readers derive from a stage and keep beside it: DIR/derived/STAGE/step-000016.arrow, and records as .json.

Written by whoever reads a run, never by training, so that the next reader is quick. All of it may be deleted at any
time. A table belongs to the content of the rollouts and to what made it, a record to the content of the stage's model,
so both survive a copy of the run; anything else is as good as absent, as is a file that is torn or cannot be written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from dunwu.errors import Fault, UserError
from dunwu.runs import tables
from dunwu.runs.atomic import atomic_write, make_directory
from dunwu.runs.checkpoints import step_name
from dunwu.runs.file_signature import content_mark
from dunwu.runs.records import RolloutRow
from dunwu.runs.regular_files import regular

SOURCE = b"dunwu.source"


class Derived:
    """What is derived from one stage. A ``maker`` names what makes a table; another name where it would make something
    else of the same completions.

    Args:
        stage: DIR/stages/NAME.
    """

    def __init__(self, stage: Path) -> None:
        self._stage = stage
        self._folder = stage.parent.parent / "derived" / stage.name

    def source_of(self, step: int, maker: str) -> bytes:
        """Which content a step's rollouts have, and what reads them. Raises OSError where the step has none."""
        return f"{maker}; {content_mark(tables.rollouts_file(self._stage, step))}".encode()

    def table(self, step: int, maker: str) -> pa.Table | None:
        """What ``maker`` made of a step's rollouts as they are now; None where nothing is kept, or it is damaged.

        It is read into memory: pages of a file that somebody cuts short would take the process along.
        """
        try:
            found = pa.ipc.open_file(pa.BufferReader(regular(self._table(step)).read_bytes())).read_all()
            found.validate(full=True)
            known = (found.schema.metadata or {}).get(SOURCE)
            return found if known == self.source_of(step, maker) else None
        except (OSError, pa.ArrowException, ValueError):
            return None

    def make(self, step: int, maker: str, make: Callable[[list[RolloutRow]], pa.Table]) -> pa.Table:
        """What ``make``, a pure function, makes of a step's completions; kept for the next time.

        Raises:
            UserError: that step has no rollouts, or a file of them cannot be read.
        """
        found = self.table(step, maker)
        if found is None:
            try:
                source = self.source_of(step, maker)
            except OSError:
                raise UserError(f"has no rollout of step {step}", file=self._stage) from None
            file = tables.rollouts_file(self._stage, step)
            try:
                found = make(tables.read_rollout_rows(file))
            except (pa.ArrowException, OverflowError) as error:
                raise UserError(f"holds numbers that are too large: {error}", file=file) from error
            with suppress(OSError):
                if self.source_of(step, maker) == source:  # not written again while it was read
                    self.put(step, found, source)
        return found

    def put(self, step: int, table: pa.Table, source: bytes) -> None:
        """Keeps a table, if the folder lets itself be written. ``source``: what it was made from."""
        sink = pa.BufferOutputStream()
        told = table.replace_schema_metadata({SOURCE: source})
        with pa.ipc.new_file(sink, told.schema) as writer:
            writer.write_table(told)
        with suppress(Fault):
            self._write(self._table(step), sink.getvalue().to_pybytes())

    def can_write(self) -> bool:
        """Whether tables can be kept."""
        try:
            make_directory(self._folder)
        except Fault:
            return False
        return os.access(self._folder, os.W_OK)

    def trouble(self, step: int, maker: str) -> str | None:
        """Why nothing can be made of a step's rollouts as they are now; None where nobody has found out."""
        found = self._read(_trouble(step), lambda: self._rollouts_mark(step, maker))
        return str(found["told"]) if found else None

    def keep_trouble(self, step: int, maker: str, told: str) -> None:
        """Keeps why :meth:`make` failed, for whoever shows it."""
        with suppress(Fault):
            self._keep(_trouble(step), {"told": told}, self._rollouts_mark(step, maker))

    def record(self, name: str) -> dict[str, Any] | None:
        """What was kept under this name of the model that is there now; None where there is nothing."""
        return self._read(name, self._model_mark)

    def keep_record(self, name: str, record: Mapping[str, Any]) -> None:
        """Keeps what was found out about the stage's model. Raises Fault where that fails."""
        self._keep(name, record, self._model_mark())

    def _read(self, name: str, of: Callable[[], str]) -> dict[str, Any] | None:
        """``of`` is asked only where there is a record: to name a large model's content takes seconds."""
        try:
            found = json.loads(regular(self._folder / f"{name}.json").read_text(encoding="utf-8"))
            return found if found["of"] == of() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, name: str, record: Mapping[str, Any], of: str) -> None:
        text = json.dumps({"of": of, **record}, ensure_ascii=False, indent=2)
        self._write(self._folder / f"{name}.json", text.encode())

    def _write(self, path: Path, content: bytes) -> None:
        make_directory(self._folder)
        atomic_write(path, content)

    def _rollouts_mark(self, step: int, maker: str) -> str:
        try:
            return self.source_of(step, maker).decode()
        except OSError:
            return ""

    def _model_mark(self) -> str:
        files = sorted((self._stage / "model").glob("*.safetensors"))
        return ", ".join(f"{file.name} {content_mark(file)}" for file in files)

    def _table(self, step: int) -> Path:
        return self._folder / f"{step_name(step)}.arrow"


def _trouble(step: int) -> str:
    return f"{step_name(step)}.trouble"
