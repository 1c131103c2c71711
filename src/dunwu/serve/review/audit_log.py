"""Who did what: JSON lines, each chained to the one before it by its hash.

    {"hash": sha256(previous + record), "previous": hash of the line before, "record": {...}}

The queue's database is written first, the file second. A line is made in the transaction of the change that it records,
and waits there (table ``unwritten``) until the file has it: a kill at any moment leaves a line that is copied, or
completed, when the log is opened again. The table ``head`` has the number of lines, their bytes and the last hash.

Found are lines that were changed, moved, removed or put in, and a log that was cut at its end or made longer. Not found
is what changes file and database alike: a copy of both from yesterday, or a chain made anew by who may write both. For
that, keep the head elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dunwu.errors import Fault
from dunwu.runs.atomic import fsync, translate_errors

FIRST = "0" * 64
"""What stands for the hash before the first line."""
TABLES = """
CREATE TABLE IF NOT EXISTS head (lines INTEGER NOT NULL, size INTEGER NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS unwritten (line INTEGER PRIMARY KEY, start INTEGER NOT NULL, content BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: its lines, its bytes, and the hash of its last line."""

    lines: int
    size: int
    hash: str


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """The first line, from 1, that is not what was written, and why."""

    line: int
    reason: str


def verify_log(path: Path, head: Head | None = None) -> BrokenLine | None:
    """Follow the chain of a log.

    Args:
        path: The log.
        head: Its end as the database has it; None: a log that was cut at its end passes.

    Returns:
        The first broken line; None where the log is whole.
    """
    lines, previous = 0, FIRST
    with path.open("rb") as file:
        for lines, line in enumerate(file, start=1):
            reason = _find_break(line, previous)
            if reason is not None:
                return BrokenLine(lines, reason)
            if head is not None and lines > head.lines:
                return BrokenLine(lines, "the database knows no such line")
            previous = json.loads(line)["hash"]
    if head is not None and lines < head.lines:
        return BrokenLine(lines + 1, f"is missing: the log was cut, and had {head.lines:,} lines")
    if head is not None and previous != head.hash:
        return BrokenLine(lines, "the database has another hash of it")
    return None


def _find_break(line: bytes, previous: str) -> str | None:
    """Say what is wrong with a line; None where it goes on from the previous hash."""
    if not line.endswith(b"\n"):
        return "is torn"
    try:
        found = json.loads(line)
        record, chained = found["record"], found["previous"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "is no line of an audit log"
    if chained != previous:
        return "does not follow the line before it"
    return None if _make_line(record, previous)[0] == line else "was changed"


def _make_line(record: Any, previous: str) -> tuple[bytes, str]:
    """Return the line of a record, and its hash."""
    digest = hashlib.sha256((previous + _dump(record)).encode()).hexdigest()
    return _dump({"hash": digest, "previous": previous, "record": record}).encode() + b"\n", digest


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class AuditLog:
    """The log of a queue. Not for threads: the queue's lock is held around every call.

    Args:
        path: The file; made where it is missing.
        database: The queue's, in no transaction.

    Raises:
        Fault: The log is not the one that the database knows.
    """

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path, self._database = path, database
        with translate_errors(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fsync(path.parent)
        self._written = 0
        self.cut_bytes = self._recover()
        if broken := verify_log(path, self.read_head()):
            self.close()
            raise Fault(
                f"{path}: line {broken.line}: {broken.reason}; put the log back as it was, or begin a new folder"
            )

    def read_head(self) -> Head:
        """Return the end of the log, with lines that the file may not have yet."""
        found = self._database.execute("SELECT lines, size, hash FROM head").fetchone()
        return Head(*found) if found else Head(0, 0, FIRST)

    def append(self, event: str, time: float, **fields: str | float | list[str] | None) -> None:
        """Record an event in the transaction that is open; ``flush`` writes it.

        Args:
            event: What happened.
            time: When, in seconds of the epoch.
            fields: Who did it, to what, and why.
        """
        head = self.read_head()
        record: Mapping[str, Any] = {"line": head.lines + 1, "event": event, "time": round(time, 3), **fields}
        line, digest = _make_line(record, head.hash)
        self._database.execute("DELETE FROM unwritten WHERE line <= ?", (self._written,))
        self._database.execute("INSERT INTO unwritten VALUES (?, ?, ?)", (head.lines + 1, head.size, line))
        self._database.execute("DELETE FROM head")
        self._database.execute("INSERT INTO head VALUES (?, ?, ?)", (head.lines + 1, head.size + len(line), digest))

    def flush(self) -> None:
        """Write what committed transactions recorded, and make it durable.

        Raises:
            Fault: The file system refuses, or someone cut the file; the next call tries again.
        """
        waiting = self._database.execute(
            "SELECT line, start, content FROM unwritten WHERE line > ? ORDER BY line", (self._written,)
        ).fetchall()
        if not waiting:
            return
        with translate_errors(self.path):
            if os.fstat(self._file).st_size < waiting[0][1]:
                raise Fault(f"{self.path}: the log was cut while it was written")
            for _, start, content in waiting:
                _write_at(self._file, content, start)
            os.fsync(self._file)
        self._written = waiting[-1][0]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _recover(self) -> int:
        """Copy the lines that a kill kept from the file, and return how many bytes of a torn one were cut first."""
        waiting = self._database.execute("SELECT line, start, content FROM unwritten ORDER BY line").fetchall()
        size = os.fstat(self._file).st_size
        for line, start, content in waiting:
            if os.pread(self._file, len(content), start) == content:
                self._written = line
                continue
            if size > start:
                with translate_errors(self.path):
                    os.ftruncate(self._file, start)
            if size >= start:  # a shorter file has lost lines that it had
                self.flush()
            return max(0, size - int(start))
        return 0


def _write_at(file: int, content: bytes, start: int) -> None:
    view = memoryview(content)
    while view:
        count = os.pwrite(file, view, start)
        view, start = view[count:], start + count
