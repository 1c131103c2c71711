"""What readers derive from a stage and keep beside it: DIR/derived/STAGE/step-000016.arrow, and records as .json.

Whoever reads a run writes it, never training, so that the next reader is quick. All of it may be deleted at any time.
A table belongs to the content of the rollouts and to what made it, a record to the content of the stage's model, so
both survive a copy of the run. Anything else is as good as absent, as is a file that is torn or cannot be written.
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
from dunwu.runs import answer_tables
from dunwu.runs.atomic import atomic_write, make_directory
from dunwu.runs.checkpoints import format_step
from dunwu.runs.file_signature import content_signature
from dunwu.runs.records import AnswerRow
from dunwu.runs.regular_files import require_regular

SOURCE = b"dunwu.source"


class Derived:
    """What is derived from one stage.

    A ``maker`` names what makes a table: another name where the same completions would give another table.

    Args:
        stage: DIR/stages/NAME.
    """

    def __init__(self, stage: Path) -> None:
        self._stage = stage
        self._folder = stage.parent.parent / "derived" / stage.name

    def get_source(self, step: int, maker: str) -> bytes:
        """Name the content of a step's rollouts, and what reads them.

        Raises:
            OSError: The step has no rollouts.
        """
        return f"{maker}; {content_signature(answer_tables.locate_rollouts(self._stage, step))}".encode()

    def read_table(self, step: int, maker: str) -> pa.Table | None:
        """Return what ``maker`` made of a step's rollouts as they are now.

        It is read into memory: pages of a file that somebody cuts short would take the process along.

        Returns:
            The table; None where none is kept, or it is damaged.
        """
        try:
            found = pa.ipc.open_file(pa.BufferReader(require_regular(self._table(step)).read_bytes())).read_all()
            found.validate(full=True)
            known = (found.schema.metadata or {}).get(SOURCE)
            return found if known == self.get_source(step, maker) else None
        except (OSError, pa.ArrowException, ValueError):
            return None

    def make_table(self, step: int, maker: str, make: Callable[[list[AnswerRow]], pa.Table]) -> pa.Table:
        """Make a table of a step's completions, and keep it for the next time; read it where it is kept.

        Args:
            step: The rollout.
            maker: The name of ``make``.
            make: A pure function.

        Raises:
            UserError: That step has no rollouts, or a file of them cannot be read.
        """
        found = self.read_table(step, maker)
        if found is None:
            try:
                source = self.get_source(step, maker)
            except OSError:
                raise UserError(f"has no rollout of step {step}", file=self._stage) from None
            file = answer_tables.locate_rollouts(self._stage, step)
            try:
                found = make(answer_tables.to_rows(answer_tables.read_rollouts(file)))
            except (pa.ArrowException, OverflowError) as error:
                raise UserError(f"holds numbers that are too large: {error}", file=file) from error
            with suppress(OSError):
                if self.get_source(step, maker) == source:  # not written again while it was read
                    self.write_table(step, found, source)
        return found

    def write_table(self, step: int, table: pa.Table, source: bytes) -> None:
        """Keep a table, where the folder can be written.

        Args:
            step: The rollout.
            table: What was made of it.
            source: What it was made from, see :meth:`get_source`.
        """
        sink = pa.BufferOutputStream()
        kept = table.replace_schema_metadata({SOURCE: source})
        with pa.ipc.new_file(sink, kept.schema) as writer:
            writer.write_table(kept)
        with suppress(Fault):
            self._write(self._table(step), sink.getvalue().to_pybytes())

    def can_write(self) -> bool:
        """Return whether tables can be kept."""
        try:
            make_directory(self._folder)
        except Fault:
            return False
        return os.access(self._folder, os.W_OK)

    def read_error(self, step: int, maker: str) -> str | None:
        """Return why no table can be made of a step's rollouts as they are now; None where nobody has found out."""
        found = self._read(_error_name(step), lambda: self._name_rollouts(step, maker))
        return str(found["message"]) if found else None

    def write_error(self, step: int, maker: str, message: str) -> None:
        """Keep why :meth:`make_table` failed, for whoever shows it.

        Args:
            step: The rollout.
            maker: The name of what makes the table.
            message: The error's text.
        """
        with suppress(Fault):
            self._keep(_error_name(step), {"message": message}, self._name_rollouts(step, maker))

    def read_record(self, name: str) -> dict[str, Any] | None:
        """Return the record of this name of the model that is there now; None where there is none."""
        return self._read(name, self._name_model)

    def write_record(self, name: str, record: Mapping[str, Any]) -> None:
        """Keep a record of the stage's model.

        Raises:
            Fault: The folder cannot be written.
        """
        self._keep(name, record, self._name_model())

    def _read(self, name: str, of: Callable[[], str]) -> dict[str, Any] | None:
        """Call ``of`` only where there is a record: to name a large model's content takes seconds."""
        try:
            found = json.loads(require_regular(self._folder / f"{name}.json").read_text(encoding="utf-8"))
            return found if found["of"] == of() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _keep(self, name: str, record: Mapping[str, Any], of: str) -> None:
        text = json.dumps({"of": of, **record}, ensure_ascii=False, indent=2)
        self._write(self._folder / f"{name}.json", text.encode())

    def _write(self, path: Path, content: bytes) -> None:
        make_directory(self._folder)
        atomic_write(path, content)

    def _name_rollouts(self, step: int, maker: str) -> str:
        try:
            return self.get_source(step, maker).decode()
        except OSError:
            return ""

    def _name_model(self) -> str:
        files = sorted((self._stage / "model").glob("*.safetensors"))
        return ", ".join(f"{file.name} {content_signature(file)}" for file in files)

    def _table(self, step: int) -> Path:
        return self._folder / f"{format_step(step)}.arrow"


def _error_name(step: int) -> str:
    return f"{format_step(step)}.error"
