"""This process's connections to the file of the cache: one that writes, and as many that read as threads ask.

Other processes may have the file, too. A writer waits for another one for ``BUSY_S`` seconds. Whoever meets damage sets
the file aside; the others notice that there is another file in its place, and go over to it. Nothing that the file
system refuses is raised: the cache could be made again, and whoever asks can generate.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from dunwu.errors import Fault, UserError
from dunwu.serve.path_cache import database
from dunwu.serve.path_cache.database import connect, identify, open_file, set_aside

PAGE: Final = 4096
LOG_BYTES: Final = 64 << 10
"""Of SQLite's log (FILE-wal), beyond which it is copied into the file and cut."""
CUT_S: Final = 0.2
"""Seconds that cutting the log waits for others; where they go on, one of them cuts it."""
T = TypeVar("T")


class CacheFile:
    """See the module.

    Args:
        path: The file; made where it is missing.
        notify: Is called with each notice, once.

    Raises:
        UserError: The file is somebody else's, or cannot be opened.

    Attributes:
        notices: Lines for people: a damaged file was set aside, the file system refuses.
        writer: The connection that writes; for ``write``'s work alone.
    """

    def __init__(self, path: Path, notify: Callable[[str], None]) -> None:
        self.path, self._notify = path, notify
        self.notices: list[str] = []
        self._writing, self._noting = Lock(), Lock()
        self._note(open_file(path))
        self._open()

    def read(self, query: str, values: tuple[object, ...]) -> tuple[Any, ...] | None:
        """Return the first row; None, too, where the file cannot be read."""
        readers = self._readers
        try:
            connection = readers.pop() if readers else connect(self.path)
        except (IndexError, sqlite3.Error):
            return None
        try:
            rows = connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            connection.close()
            self._meet(error, readers)
            return None
        readers.append(connection)  # of the list that it came from: another one belongs to another file
        return rows[0] if rows else None

    def write(self, work: Callable[[], T]) -> T | None:
        """Do work in one transaction and keep the log short; return None where the file system refuses."""
        readers = self._readers
        try:
            with self._writing:
                self._renew()
                readers = self._readers
                with self._transaction():
                    done = work()
                self._cut_log()
                return done
        except (sqlite3.DatabaseError, OSError, UserError, Fault) as error:
            self._meet(error, readers)
            return None

    def read_number(self, pragma: str) -> int:
        """Return a number that SQLite knows of the file, within ``write``'s work."""
        return int(self.writer.execute(f"PRAGMA {pragma}").fetchone()[0])

    def close(self) -> None:
        """Close all connections."""
        with self._writing:
            for connection in (*self._readers, self.writer):
                connection.close()

    def begin_anew(self, readers: list[sqlite3.Connection]) -> None:
        """Set a damaged file aside, unless another thread or process has.

        Args:
            readers: The list of those who met the damage.

        Raises:
            OSError: The file cannot be renamed.
            UserError: No other can be made.
            Fault: The file system refuses.
        """
        with self._writing:
            if readers is not self._readers:
                return
            self._note(set_aside(self.path, "was damaged", self._identity))
            self._renew()

    def _open(self) -> None:
        self._identity: tuple[int, int] | None = None  # until there is a connection to it
        found = identify(self.path)
        self.writer = connect(self.path)
        self._readers: list[sqlite3.Connection] = []
        self._identity = found

    def _renew(self) -> None:
        """Go over to the file that stands in the place of ours, and make it where there is none."""
        if self._identity is not None and identify(self.path) == self._identity:
            return
        self.writer.close()
        self._identity = None  # so that it is tried again where this fails
        self._note(open_file(self.path))
        self._open()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.writer.execute("COMMIT")
        except BaseException:
            if self.writer.in_transaction:
                self.writer.execute("ROLLBACK")
            raise

    def _cut_log(self) -> None:
        """Copy a long log into the file, or one that makes the file shorter, unless others use it all the time."""
        log = self.path.with_name(self.path.name + "-wal")
        long = log.exists() and log.stat().st_size > LOG_BYTES
        if long or self.path.stat().st_size > PAGE * self.read_number("page_count"):
            self.writer.execute(f"PRAGMA busy_timeout = {int(1000 * CUT_S)}")
            try:
                self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self.writer.execute(f"PRAGMA busy_timeout = {int(1000 * database.BUSY_S)}")

    def _meet(self, error: Exception, readers: list[sqlite3.Connection]) -> None:
        """Begin anew where the file is damaged; note it where it cannot be used now; raise what is an error of ours."""
        if type(error) is sqlite3.DatabaseError:
            try:
                self.begin_anew(readers)
            except (sqlite3.DatabaseError, OSError, UserError, Fault) as refusal:
                self._note_refusal(refusal)
        elif isinstance(error, sqlite3.OperationalError | OSError | UserError | Fault):
            self._note_refusal(error)
        else:
            raise error

    def _note_refusal(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self._note(f"{self.path}: the cache of reasoning paths cannot be used now: {reason}")

    def _note(self, notice: str | None) -> None:
        """Keep a notice, and give it to people the first time that it is made."""
        with self._noting:
            if notice is None or notice in self.notices:
                return
            self.notices.append(notice)
        self._notify(notice)
