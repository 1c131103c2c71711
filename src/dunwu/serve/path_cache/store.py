"""The cache of reasoning paths: one SQLite file, one writer at a time, any number of threads and processes that read.

A hit only reads. Who was used how often is counted in memory and written with the next entry, so a kill loses counts
and nothing else. Entries that were stored stay, whatever moment the process is killed.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from dunwu.errors import UserError
from dunwu.runs.atomic import make_directory
from dunwu.serve.path_cache.cache_file import LOG_BYTES, PAGE, CacheFile
from dunwu.serve.path_cache.hints import blank_path
from dunwu.serve.path_cache.normalize import NormalizedQuestion
from dunwu.serve.path_cache.records import CacheStats, Entry, Hit, Provenance, ReasoningPath

SMALLEST: Final = 1 << 20
RESERVED: Final = LOG_BYTES + (32 << 10)
"""Bytes of the bound for that log and for its index (FILE-shm)."""
SHARE: Final = 8
"""One entry may have this part of the bound."""
INSERT: Final = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
FIND: Final = "SELECT content, checksum, created, uses, last_used FROM entries WHERE key = ?"
FIND_PATH: Final = """
SELECT content, checksum, created, numbers FROM entries
WHERE path_key = ? AND numbers != ? ORDER BY uses DESC, created DESC LIMIT 1
"""
OLDEST: Final = "SELECT key FROM entries ORDER BY last_used LIMIT 1"


class PathCache:
    """Finished chains by model, way of sampling and question.

    Args:
        file: The SQLite file; it and its folder are made where they are missing. Several processes may have it.
        max_bytes: What the file and SQLite's log beside it may have after each call. Chains unused for the longest time
            make room; while one is stored, the log may have a few times its size more.
        notify: Is called with each notice, once: a damaged file was set aside, the file system refuses.
        now: Returns the seconds since 1970.

    Raises:
        UserError: The bound is below 1 MiB; the file is somebody else's, or cannot be opened.

    Attributes:
        file: This process's connections to the file.
    """

    def __init__(
        self,
        file: Path,
        max_bytes: int,
        *,
        notify: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if max_bytes < SMALLEST:
            raise UserError(f"{max_bytes:,} bytes are too few: a cache needs {SMALLEST:,}", field="max_bytes")
        make_directory(file.parent)
        self._max_bytes, self._now = max_bytes, now
        self.file = CacheFile(file, notify)
        self._counting = Lock()
        self._counts = Counter[str]()
        self._uses: dict[bytes, tuple[int, float]] = {}
        """Key -> uses that are not written yet, and the last of them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def find(self, model: str, sampling: str, question: NormalizedQuestion) -> Hit | None:
        """Find what was answered to exactly this question.

        Args:
            model: See ``keys.hash_model``.
            sampling: See ``keys.make_sampling_key``.
            question: See ``normalize.normalize_conversation``.
        """
        key = _digest(model, sampling, question.exact)
        row = self.file.read(FIND, (key,))
        entry = _load_entry(row[0], row[1]) if row else None
        if row is None or entry is None or entry.question != question.exact:
            self._count(misses=1)
            return None
        now = self._now()
        with self._counting:
            uses = self._uses.get(key, (0, 0.0))[0]
            self._uses[key] = (uses + 1, now)
        self._count(hits=1, tokens_saved=entry.tokens)
        _, _, created, written, last_used = row
        return Hit(entry=entry, created=created, age_s=now - created, uses=written + uses, last_used=last_used)

    def find_path(self, model: str, question: NormalizedQuestion) -> ReasoningPath | None:
        """Find how a question with the same template and other numbers was solved: the most used one, then the newest.

        Args:
            model: See ``find``.
            question: See ``find``.

        Returns:
            The path; None for questions without numbers, and where the answer has none.
        """
        if not question.numbers:
            return None
        row = self.file.read(FIND_PATH, (_digest(model, question.template), json.dumps(question.numbers)))
        entry = _load_entry(row[0], row[1]) if row else None
        text = row and entry and blank_path(entry.reasoning, json.loads(row[3]), entry.final_answer)
        if not row or not entry or not text:
            return None
        self._count(paths=1)
        return ReasoningPath(text=text, provenance=entry.provenance, age_s=self._now() - row[2])

    def put(self, model: str, sampling: str, question: NormalizedQuestion, entry: Entry) -> bool:
        """Store a chain, and let others make room for it.

        Args:
            model: See ``find``.
            sampling: See ``find``.
            question: See ``find``.
            entry: What to store.

        Returns:
            Whether it is stored. It is not where its answer is neither verified nor voted by a majority, or is empty;
            where a verified one would give way to a voted one; where it has more than an eighth of the bound; and
            where the file system refuses, which a notice says.
        """
        content, checksum = _dump_entry(entry)
        whole = bool(entry.answer.strip() and entry.final_answer.strip()) and entry.question == question.exact
        if not entry.provenance.is_trusted or not whole or len(content) > self._max_bytes // SHARE:
            self._count(refused=1)
            return False
        key, now = _digest(model, sampling, question.exact), self._now()
        path_key = _digest(model, question.template)

        def insert() -> bool:
            self._write_uses()
            row = self.file.writer.execute(FIND, (key,)).fetchone()
            old = _load_entry(row[0], row[1]) if row else None
            if old and old.provenance.kind == "verified" and entry.provenance.kind != "verified":
                return False
            numbers = json.dumps(question.numbers)
            self.file.writer.execute(INSERT, (key, path_key, numbers, now, 0, now, checksum, content))
            self._evict()
            return True

        stored = bool(self.file.write(insert))
        self._count(refused=not stored)
        return stored

    def clear(self) -> None:
        """Forget everything, and give the space back."""

        def delete() -> None:
            with self._counting:
                self._uses.clear()
            self.file.writer.execute("DELETE FROM entries")
            self._give_back()

        self.file.write(delete)

    def stats(self) -> CacheStats:
        """Count what is stored, and what was found since the cache was opened."""
        row = self.file.read("SELECT count(*) FROM entries", ())
        path = self.file.path
        files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
        size = sum(one.stat().st_size for one in files if one.exists())
        names = ("hits", "paths", "misses", "refused", "evicted", "tokens_saved")
        with self._counting:
            counts = {name: self._counts[name] for name in names}
        return CacheStats(entries=row[0] if row else 0, file_bytes=size, max_bytes=self._max_bytes, **counts)

    def close(self) -> None:
        """Write what is counted and close the file; nothing may be asked after that."""
        self.file.write(self._write_uses)
        self.file.close()

    @property
    def notices(self) -> list[str]:
        """What people should know of the file, so far."""
        return self.file.notices

    def _count(self, **counts: int) -> None:
        with self._counting:
            self._counts.update(counts)

    def _write_uses(self) -> None:
        with self._counting:
            uses, self._uses = self._uses, {}
        self.file.writer.executemany(
            "UPDATE entries SET uses = uses + ?, last_used = ? WHERE key = ?",
            [(count, last, key) for key, (count, last) in uses.items()],
        )

    def _evict(self) -> None:
        """Delete the chains unused for the longest time until the rest fits, and give their pages back."""
        bound = (self._max_bytes - RESERVED) // PAGE
        while self.file.read_number("page_count") - self.file.read_number("freelist_count") > bound:
            self.file.writer.execute(f"DELETE FROM entries WHERE key = ({OLDEST})")
            self._count(evicted=1)
        self._give_back()

    def _give_back(self) -> None:
        """Cut the free pages off the file, once the log is copied into it."""
        for _ in range(self.file.read_number("freelist_count")):
            self.file.writer.execute("PRAGMA incremental_vacuum")  # sqlite3 takes one step of it, which is one page


def _digest(*parts: str) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _dump_entry(entry: Entry) -> tuple[str, int]:
    """Write an entry as JSON in ASCII, which holds any text, half surrogate pairs too; with its checksum."""
    content = json.dumps(asdict(entry))
    return content, zlib.crc32(content.encode())


def _load_entry(content: object, checksum: object) -> Entry | None:
    """Read an entry; None where bytes of it changed on the disk, which SQLite does not notice."""
    if not isinstance(content, str) or zlib.crc32(content.encode()) != checksum:
        return None
    fields = json.loads(content)
    return Entry(**fields | {"provenance": Provenance(**fields["provenance"])})
