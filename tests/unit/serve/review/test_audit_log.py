"""The chain finds every change, and a kill between database and file costs nothing."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dunwu.errors import Fault
from dunwu.serve.review import audit_log
from dunwu.serve.review.audit_log import AuditLog, BrokenLine, Head, verify_log


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    found = sqlite3.connect(":memory:", isolation_level=None)
    found.executescript(audit_log.TABLES)
    yield found
    found.close()


@pytest.fixture
def log(tmp_path: Path, database: sqlite3.Connection) -> AuditLog:
    found = AuditLog(tmp_path / "audit.jsonl", database)
    for number in range(5):
        found.append("held", 1.5 + number, id=f"held-{number}", text="é\u2028\ud800")
        found.flush()
    return found


def test_lines_are_chained(log: AuditLog) -> None:
    lines = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [line["record"]["line"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["previous"] for line in lines] == [audit_log.FIRST, *(line["hash"] for line in lines[:-1])]
    assert log.read_head() == Head(5, log.path.stat().st_size, lines[-1]["hash"])
    assert verify_log(log.path, log.read_head()) is None


def _spoil(lines: list[bytes], how: str) -> list[bytes]:
    """Do what a person with an editor might do to the third line."""
    third = lines[2]
    return {
        "changed": [*lines[:2], third.replace(b"held-2", b"held-9"), *lines[3:]],
        "removed": [*lines[:2], *lines[3:]],
        "moved": [*lines[:2], lines[3], third, *lines[4:]],
        "doubled": [*lines[:3], third, *lines[3:]],
        "spaced": [*lines[:2], third.replace(b'","', b'", "'), *lines[3:]],
        "another": [*lines[:2], b"[]\n", *lines[3:]],
        "nested": [*lines[:2], b"[" * 100_000 + b"\n", *lines[3:]],
    }[how]


@pytest.mark.parametrize(
    ("how", "line"),
    [("changed", 3), ("removed", 3), ("moved", 3), ("doubled", 4), ("spaced", 3), ("another", 3), ("nested", 3)],
)
def test_a_line_that_is_not_what_was_written_is_found(log: AuditLog, how: str, line: int) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(_spoil(lines, how)))
    broken = verify_log(log.path)
    assert broken is not None
    assert broken.line == line
    if how in ("removed", "moved", "doubled"):
        assert broken.reason == "does not follow the line before it"


def test_a_log_that_was_cut_or_made_anew_is_found_by_the_head_alone(log: AuditLog) -> None:
    content = log.path.read_bytes()
    lines = content.splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:3]))
    assert verify_log(log.path) is None
    broken = verify_log(log.path, log.read_head())
    assert broken is not None
    assert broken.line == 4
    previous, anew = audit_log.FIRST, b""
    for line in lines:
        made, previous = audit_log._make_line({**json.loads(line)["record"], "id": "x"}, previous)
        anew += made
    log.path.write_bytes(anew)
    assert verify_log(log.path) is None
    broken = verify_log(log.path, log.read_head())
    assert broken is not None
    assert broken.line == 5
    more, _ = audit_log._make_line({"event": "released"}, json.loads(lines[-1])["hash"])
    log.path.write_bytes(content + more)
    assert verify_log(log.path) is None
    assert verify_log(log.path, log.read_head()) == BrokenLine(6, "the database knows no such line")


@pytest.mark.parametrize("kept", [0, 1, 40, -1], ids=["nothing", "a byte", "some", "all but the end"])
def test_a_line_that_a_kill_kept_from_the_file_is_completed(log: AuditLog, kept: int) -> None:
    log.append("decided", 9.0, id="held-1")
    before = log.path.stat().st_size
    line = log._database.execute("SELECT content FROM unwritten ORDER BY line DESC").fetchone()[0]
    with log.path.open("ab") as file:
        file.write(line[:kept])
    torn = log.path.stat().st_size - before
    again = AuditLog(log.path, log._database)
    assert again.cut_bytes == torn
    assert verify_log(log.path, again.read_head()) is None
    assert log.path.read_bytes().endswith(line)
    assert again.read_head().lines == 6


def test_zeros_that_a_power_cut_left_are_cut(log: AuditLog) -> None:
    log.append("decided", 9.0, id="held-1")
    with log.path.open("ab") as file:
        file.write(bytes(log.read_head().size - log.path.stat().st_size))
    again = AuditLog(log.path, log._database)
    assert again.cut_bytes > 0
    assert verify_log(log.path, again.read_head()) is None


def test_a_log_that_lost_lines_it_had_is_not_opened(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:3]))
    with pytest.raises(Fault, match=r"audit\.jsonl: line 4: is missing: the log was cut, and had 5 lines"):
        AuditLog(log.path, log._database)
    log.path.unlink()
    with pytest.raises(Fault, match=r"line 1: is missing"):
        AuditLog(log.path, log._database)


def test_a_log_that_is_cut_while_it_is_open_takes_no_more_lines(log: AuditLog) -> None:
    os.truncate(log.path, 10)
    log.append("decided", 9.0)
    with pytest.raises(Fault, match="the log was cut while it was written"):
        log.flush()
    assert log.path.stat().st_size == 10


def test_a_refused_write_is_made_up_for_later(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    log.append("decided", 9.0)
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        with pytest.raises(Fault, match="No space left"):
            log.flush()
    log.append("released", 10.0)
    log.flush()
    assert log.read_head().lines == 7
    assert verify_log(log.path, log.read_head()) is None
