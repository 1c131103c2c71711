"""The queue's database: a file in which whatever was acknowledged stays.

``synchronous = EXTRA`` with a rollback journal: every commit is on the disk, its journal's name included, before it
returns. A write-ahead log would be faster; this is one file to copy, and a person decides slower than either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dunwu.errors import Fault, UserError
from dunwu.runs.atomic import fsync
from dunwu.serve.review import audit_log

WAIT_SECONDS = 2.0
"""How long an earlier process may take to end."""
TABLES = """
CREATE TABLE IF NOT EXISTS held (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, client TEXT NOT NULL,
  question TEXT NOT NULL, reasoning TEXT NOT NULL, answer TEXT NOT NULL, topics TEXT NOT NULL, reasons TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('held', 'accepted', 'edited', 'rejected', 'released', 'expired')),
  claimed_by TEXT, claimed_until REAL NOT NULL DEFAULT 0, verdict TEXT, text TEXT, reviewer TEXT, reason TEXT,
  created REAL NOT NULL, decided REAL, released REAL, webhook TEXT,
  CHECK (state != 'released' OR (verdict IS NOT NULL AND text IS NOT NULL AND reviewer IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS held_by_state ON held (state, number);
CREATE TABLE IF NOT EXISTS notices (
  held_id TEXT PRIMARY KEY, url TEXT NOT NULL, attempts INTEGER NOT NULL, due REAL
);
"""


def open_database(path: Path) -> sqlite3.Connection:
    """Open the database, for this process alone; threads take turns.

    Args:
        path: The file; made where it is missing.

    Returns:
        The connection, with its tables made.

    Raises:
        UserError: Another process has it, or it is no database.
        Fault: The file system refuses.
    """
    with translate_refusals(path):
        database = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("PRAGMA synchronous = EXTRA")
            database.executescript(f"BEGIN EXCLUSIVE; {TABLES} {audit_log.TABLES} COMMIT;")
            fsync(path.parent)
        except BaseException:
            database.close()
            raise
    return database


@contextmanager
def translate_refusals(path: Path) -> Iterator[None]:
    """Turn what SQLite refuses into one line.

    Args:
        path: The database.

    Raises:
        UserError: Another process has it, or it is no database.
        Fault: It cannot be read or written: a full disk, missing rights.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise UserError("another process is using this queue", file=path) from None
        raise Fault(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise UserError(f"is no database of a queue: {error}", file=path) from None
    except OSError as error:
        raise Fault(f"{path}: {error.strerror}") from error
