"""The SQLite file of the cache: made, opened, and set aside where it is damaged.

Everything in it could be made again, so a damaged cache is no reason not to start: the file is kept as FILE.damaged for
whoever wants to look, and a new one begun. That holds only for a file that says that it is ours. Any other is refused,
because somebody may have named the wrong one.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dunwu.errors import UserError
from dunwu.runs.atomic import translate_errors

APPLICATION: Final = 0x44575043
"""What the header of our files says: DWPC."""
VERSION: Final = 1
MAGIC: Final = b"SQLite format 3\0"
PRIVATE: Final = 0o600
"""Rights of the file: what people ask is nobody else's business."""
BUSY_S: Final = 5.0
"""Seconds that a writer waits for another process."""
SCHEMA: Final = """
CREATE TABLE entries (
    key BLOB PRIMARY KEY, path_key BLOB NOT NULL, numbers TEXT NOT NULL,
    created REAL NOT NULL, uses INTEGER NOT NULL, last_used REAL NOT NULL, checksum INTEGER NOT NULL,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX by_path ON entries (path_key, uses, created);
CREATE INDEX by_use ON entries (last_used);
"""


class Damaged(Exception):  # noqa: N818  -- what it says, it says by its name
    """The file is ours and cannot be used."""


class ForeignFile(Exception):  # noqa: N818  -- as above
    """A database of somebody else's."""


def open_file(file: Path) -> str | None:
    """Make sure that a cache is there and can be opened; damage further inside shows when it is met.

    Args:
        file: It, or where it is to be; its folder is there.

    Returns:
        A line for people where a damaged file was set aside.

    Raises:
        UserError: Another program's file has that name, or it cannot be opened.
        Fault: The file system refuses.
    """
    with translate_errors(file), _hold_folder(file.parent):
        try:
            _prepare(file)
        except Damaged as reason:
            notice = _rename(file, str(reason))
            _prepare(file)
            return notice
    return None


def set_aside(file: Path, reason: str, identity: tuple[int, int] | None) -> str | None:
    """Rename a file to FILE.damaged, over an older one.

    Args:
        file: The name.
        reason: Why.
        identity: Of the file that is meant, see ``identify``.

    Returns:
        A line for people; None where another file has the name by now, which another process has made.

    Raises:
        OSError: It cannot be renamed.
    """
    with _hold_folder(file.parent):
        return _rename(file, reason) if identify(file) == identity else None


def identify(file: Path) -> tuple[int, int] | None:
    """Tell a file from another one that has taken its name; None where there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _rename(file: Path, reason: str) -> str:
    kept = file.with_name(file.name + ".damaged")
    file.replace(kept)
    for log in (f"{file.name}-wal", f"{file.name}-shm", f"{file.name}-journal"):
        file.with_name(log).unlink(missing_ok=True)  # its pages would go into the new file
    return f"{file}: the cache of reasoning paths {reason}: it is kept as {kept.name}, and begun anew"


@contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    """Make other processes wait that want to make a cache here, or to set one aside; a kill lets them go on."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def connect(file: Path) -> sqlite3.Connection:
    """Open a connection that commits each statement at once, but for those behind BEGIN."""
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # it could copy pages that the next statement frees
    connection.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing, a power cut the last entries at most
    return connection


def _prepare(file: Path) -> None:
    try:
        if not file.exists():
            file.touch(PRIVATE)  # SQLite gives its logs the same rights
        connection = connect(file)
        try:
            _check(connection)
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise UserError(f"cannot be opened as a cache: {error}", file=file) from None
    except sqlite3.DatabaseError:
        if not _is_ours(file):
            raise UserError("is no cache of reasoning paths: name another file", file=file) from None
        raise Damaged("was damaged") from None
    except ForeignFile:
        raise UserError("is another program's database: name another file", file=file) from None


def _check(connection: sqlite3.Connection) -> None:
    application = _read_number(connection, "application_id")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables and application != APPLICATION:
        raise ForeignFile
    if not tables:  # new, or a kill came before the tables
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.executescript(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; {SCHEMA} COMMIT;"
        )
    if _read_number(connection, "user_version") != VERSION:
        raise Damaged("was written by another version of Dunwu")
    connection.execute("PRAGMA journal_mode = WAL")


def _read_number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _is_ours(file: Path) -> bool:
    """Tell whether a file's first bytes say that it is a cache of reasoning paths, whatever follows."""
    with file.open("rb") as content:
        header = content.read(72)
    return header.startswith(MAGIC) and header[68:72] == APPLICATION.to_bytes(4, "big")
