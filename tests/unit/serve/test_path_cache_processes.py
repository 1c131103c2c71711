"""One file of the cache for several processes: nothing is lost, raised or too large, and damage is met once."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dunwu.serve.path_cache import database
from dunwu.serve.path_cache.cache_file import PAGE
from dunwu.serve.path_cache.store import PathCache

from .test_path_cache import QUESTION, find, make_entry, put

BOUND = 1 << 20
WRITER = """
import sys
from pathlib import Path
from tests.unit.serve.test_path_cache import PathCache, find, make_entry, put
folder, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
largest = hits = 0
notices = []
for number in range(12):
    with PathCache(folder / f"{number}.db", 1 << 20, notify=notices.append) as cache:
        question = f"{name}: what is {number}?"
        assert put(cache, question, make_entry(question, str(number)))
        assert find(cache, question) == str(number)
with PathCache(folder / "paths.db", 1 << 20, notify=notices.append) as cache:
    for number in range(120):
        question = f"{name}: what is {number} + 1?"
        assert put(cache, question, make_entry(question, str(number + 1), length=6000)), notices
        hits += find(cache, question) == str(number + 1)
        largest = max(largest, cache.stats().file_bytes)
assert hits > 80, "the other one may have made room of a few"
print(notices, largest)
"""


def test_two_processes_write_one_file(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for name in ("first", "second")
    ]
    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        said, _ = child.communicate(timeout=300)
        notices, _, largest = said.strip().rpartition(" ")
        assert (child.returncode, notices) == (0, "[]")
        assert int(largest) <= BOUND + (256 << 10), "the other one's log, for as long as it is written"
    for number in range(12):
        with PathCache(tmp_path / f"{number}.db", BOUND) as cache:
            assert [find(cache, f"{name}: what is {number}?") for name in ("first", "second")] == [str(number)] * 2
    with PathCache(tmp_path / "paths.db", BOUND) as cache:
        assert put(cache, QUESTION, make_entry(QUESTION))
        stats = cache.stats()
        assert stats.file_bytes <= BOUND
        assert stats.entries > 100
        found = {find(cache, f"{name}: what is 119 + 1?") for name in ("first", "second")}
        assert "120" in found, "the newest of whoever ended last"
    check = sqlite3.connect(tmp_path / "paths.db")
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check.close()
    assert not list(tmp_path.glob("*.damaged"))


def fill_and_damage(file: Path) -> None:
    with PathCache(file, BOUND) as cache:
        for number in range(50):
            put(cache, f"What is {number}?", make_entry(f"What is {number}?", length=9000))
    content = file.read_bytes()
    file.write_bytes(content[:PAGE] + random.Random(1).randbytes(len(content) - PAGE))


def test_damage_that_two_meet_is_set_aside_once(tmp_path: Path) -> None:
    file = tmp_path / "paths.db"
    fill_and_damage(file)
    said: list[str] = []
    with PathCache(file, BOUND, notify=said.append) as first, PathCache(file, BOUND, notify=said.append) as second:
        assert find(first, "What is 1?") is None
        assert put(first, QUESTION, make_entry(QUESTION))
        assert find(second, "What is 1?") is None
        assert put(second, "What is 5?", make_entry("What is 5?", "5"))
        assert [find(one, QUESTION) for one in (first, second)] == ["13", "13"]
        assert [find(one, "What is 5?") for one in (first, second)] == ["5", "5"]
    assert said == [f"{file}: the cache of reasoning paths was damaged: it is kept as paths.db.damaged, and begun anew"]


def test_a_file_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "paths.db"
    with PathCache(file, BOUND) as cache:
        assert put(cache, QUESTION, make_entry(QUESTION))
        for path in tmp_path.iterdir():
            path.unlink()
        assert put(cache, QUESTION, make_entry(QUESTION))
        assert find(cache, QUESTION) == "13"
        assert cache.notices == []
    with PathCache(file, BOUND) as cache:
        assert find(cache, QUESTION) == "13"


def test_what_the_file_system_refuses_is_said_once_and_raised_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.0)
    file, said = tmp_path / "paths.db", list[str]()
    fill_and_damage(file)
    with PathCache(file, BOUND, notify=said.append) as cache:
        with monkeypatch.context() as full:
            full.setattr(Path, "replace", refuse)
            for _ in range(2):
                assert find(cache, "What is 1?") is None
                assert not put(cache, QUESTION, make_entry(QUESTION))
        assert said == [f"{file}: the cache of reasoning paths cannot be used now: Read-only file system"]
        assert find(cache, "What is 1?") is None
        assert put(cache, QUESTION, make_entry(QUESTION)), "begun anew as soon as that is possible"
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for number in range(2):
            assert not put(cache, f"What is {number}?", make_entry(f"What is {number}?"))
        other.close()
    assert said[2:] == [f"{file}: the cache of reasoning paths cannot be used now: database is locked"]


def refuse(*_: object) -> None:
    raise OSError(30, "Read-only file system")
