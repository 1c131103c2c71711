"""What is stored is found again, by the same question to the same model alone, whatever happens to process and file."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from tests.unit.serve.near_pairs import differing_pairs, same_pairs

from dunwu.errors import UserError
from dunwu.serve.path_cache import database
from dunwu.serve.path_cache.cache_file import PAGE
from dunwu.serve.path_cache.hints import write_hint
from dunwu.serve.path_cache.normalize import normalize_question
from dunwu.serve.path_cache.records import Entry, Provenance
from dunwu.serve.path_cache.store import PathCache

VERIFIED = Provenance(kind="verified", by="accuracy")
VOTED = Provenance(kind="voted", by="accuracy", votes=9, samples=16)
BOUND = 4 << 20
QUESTION = "Tom has 16 plums and eats 3. How many are left?"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[PathCache]:
    ticks = count(1000)
    with PathCache(tmp_path / "new" / "paths.db", BOUND, now=lambda: float(next(ticks))) as opened:
        yield opened


def make_entry(question: str, answer: str = "13", provenance: Provenance = VERIFIED, length: int = 0) -> Entry:
    return Entry(
        question=normalize_question(question).exact,
        reasoning="16 - 3 = 13." + length * "x",
        answer=f"It is {answer}.",
        final_answer=answer,
        provenance=provenance,
        tokens=40,
    )


def put(cache: PathCache, question: str, entry: Entry, model: str = "m", sampling: str = "s") -> bool:
    return cache.put(model, sampling, normalize_question(question), entry)


def find(cache: PathCache, question: str, model: str = "m", sampling: str = "s") -> str | None:
    hit = cache.find(model, sampling, normalize_question(question))
    return hit.entry.final_answer if hit else None


def test_a_hit_has_all_that_was_stored(cache: PathCache) -> None:
    entry = make_entry(QUESTION, "13 \ud800\0", VOTED)
    assert cache.find("m", "s", normalize_question(QUESTION)) is None
    assert put(cache, QUESTION, entry)
    first, second = (cache.find("m", "s", normalize_question(QUESTION)) for _ in range(2))
    assert first
    assert second
    assert first.entry == second.entry == entry
    assert (first.created, first.age_s, first.uses) == (1000.0, 1.0, 0)
    assert (second.created, second.age_s, second.uses) == (1000.0, 2.0, 1)
    stats = cache.stats()
    assert (stats.entries, stats.hits, stats.misses, stats.tokens_saved) == (1, 2, 1, 80)


def test_nobody_else_reads_the_file(cache: PathCache) -> None:
    assert put(cache, QUESTION, make_entry(QUESTION))
    files = list(cache.file.path.parent.iterdir())
    assert {f"{file.stat().st_mode & 0o777:o}" for file in files} == {"600"}, files


def test_a_writer_that_could_not_go_over_to_a_new_file_tries_again(
    cache: PathCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert put(cache, QUESTION, make_entry(QUESTION))
    cache.file.path.unlink()

    def refuse(*_: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr("dunwu.serve.path_cache.cache_file.connect", refuse)
        assert not put(cache, QUESTION, make_entry(QUESTION))
    assert put(cache, QUESTION, make_entry(QUESTION))
    assert find(cache, QUESTION) == "13"


def test_another_model_or_sampling_finds_nothing(cache: PathCache) -> None:
    put(cache, QUESTION, make_entry(QUESTION))
    assert find(cache, QUESTION, model="n") is None
    assert find(cache, QUESTION, sampling="t") is None
    assert find(cache, QUESTION, model="ms", sampling="") is None
    assert cache.find_path("n", normalize_question(QUESTION.replace("16", "20"))) is None


def test_no_near_pair_is_answered_and_every_same_one_is(cache: PathCache) -> None:
    """The battery of the whole: a question is stored, and the other one of its pair is asked."""
    wrong = []
    for kind, (one, other) in differing_pairs():
        cache.clear()
        assert put(cache, one, make_entry(one))
        wrong += [(kind, one, other)] if find(cache, other) else []
    assert wrong == []
    for _, (one, other) in same_pairs():
        cache.clear()
        assert put(cache, one, make_entry(one))
        assert find(cache, other) == "13"


def test_a_path_has_neither_numbers_nor_answer(cache: PathCache) -> None:
    put(cache, QUESTION, make_entry(QUESTION), sampling="another")
    asked = normalize_question("Tom has 20 plums and eats 5. How many are left?")
    path = cache.find_path("m", asked)
    assert path
    assert path.text == "[A] - [B] = […]."
    assert path.provenance == VERIFIED
    assert "13" not in write_hint(path, asked.numbers)
    assert cache.find_path("m", normalize_question(QUESTION)) is None, "the same numbers: that is no other question"
    assert cache.find_path("m", normalize_question("Ann has 20 plums and eats 5. How many are left?")) is None
    assert cache.find_path("m", normalize_question("Why?")) is None


def test_the_most_used_path_comes_first(cache: PathCache) -> None:
    for number in (16, 17, 18):
        question = QUESTION.replace("16", str(number))
        put(cache, question, replace(make_entry(question), reasoning=f"chain {'abc'[number - 16]}"))
    asked = normalize_question(QUESTION.replace("16", "99"))
    newest = cache.find_path("m", asked)
    assert newest
    assert newest.text == "chain c"
    assert find(cache, QUESTION.replace("16", "17"))
    put(cache, "Else?", make_entry("Else?"))  # writes what was used
    used = cache.find_path("m", asked)
    assert used
    assert used.text == "chain b"


@pytest.mark.parametrize(
    "provenance",
    [
        Provenance(kind="verified", by=""),
        Provenance(kind="voted", by="accuracy", votes=8, samples=16),
        Provenance(kind="voted", by="accuracy", votes=1, samples=1),
        Provenance(kind="voted", by="", votes=9, samples=16),
    ],
)
def test_what_nobody_vouches_for_is_refused(cache: PathCache, provenance: Provenance) -> None:
    assert not put(cache, QUESTION, make_entry(QUESTION, provenance=provenance))
    assert find(cache, QUESTION) is None
    assert cache.stats().refused == 1


def test_empty_answers_and_another_question_s_entries_are_refused(cache: PathCache) -> None:
    assert not put(cache, QUESTION, make_entry(QUESTION, answer=" "))
    assert not put(cache, QUESTION, make_entry("Another 3?"))
    assert not put(cache, QUESTION, make_entry(QUESTION, length=BOUND // 8))


def test_a_voted_answer_does_not_replace_a_verified_one(cache: PathCache) -> None:
    assert put(cache, QUESTION, make_entry(QUESTION, "12", VOTED))
    assert put(cache, QUESTION, make_entry(QUESTION, "13", VERIFIED))
    assert not put(cache, QUESTION, make_entry(QUESTION, "14", VOTED))
    assert find(cache, QUESTION) == "13"
    assert put(cache, QUESTION, make_entry(QUESTION, "15", VERIFIED))
    assert find(cache, QUESTION) == "15"


def test_the_files_stay_below_the_bound_and_the_used_stay_in(tmp_path: Path) -> None:
    """Sizes are seeded at random; the first entry is asked for again and again, and outlives all others."""
    chance, bound, ticks = random.Random(3), 1 << 20, count()
    with PathCache(tmp_path / "paths.db", bound, now=lambda: float(next(ticks))) as cache:
        for number in range(400):
            question = f"What is {number} + 1?"
            assert put(cache, question, make_entry(question, length=chance.choice([10, 3000, 30_000, 100_000])))
            assert find(cache, "What is 0 + 1?")
            assert find(cache, question)
            assert cache.stats().file_bytes <= bound
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bound
        stats = cache.stats()
        assert stats.evicted == 400 - stats.entries
        assert stats.evicted > 300
        assert stats.file_bytes > bound // 2
        assert find(cache, "What is 1 + 1?") is None


def test_a_smaller_bound_and_clear_give_the_space_back(tmp_path: Path) -> None:
    file = tmp_path / "paths.db"
    with PathCache(file, 8 << 20) as cache:
        for number in range(60):
            put(cache, f"What is {number}?", make_entry(f"What is {number}?", length=90_000))
    assert file.stat().st_size > 4 << 20
    with PathCache(file, 1 << 20) as cache:
        put(cache, QUESTION, make_entry(QUESTION))
        assert cache.stats().file_bytes <= 1 << 20
        assert find(cache, "What is 59?") == "13"
        cache.clear()
        assert cache.stats().entries == 0
        assert file.stat().st_size <= 16 * PAGE
        assert find(cache, "What is 59?") is None
    with pytest.raises(UserError, match="max_bytes: 1,000 bytes are too few"):
        PathCache(file, 1000)


def test_entries_and_uses_outlive_the_process(tmp_path: Path) -> None:
    with PathCache(tmp_path / "paths.db", BOUND) as cache:
        put(cache, QUESTION, make_entry(QUESTION))
        find(cache, QUESTION)
    with PathCache(tmp_path / "paths.db", BOUND) as cache:
        hit = cache.find("m", "s", normalize_question(QUESTION))
        assert hit
        assert hit.uses == 1
        assert cache.notices == []


def test_many_threads_read_while_one_writes(cache: PathCache) -> None:
    questions = [f"What is {number} + {number}?" for number in range(150)]

    def read(_: int) -> set[str | None]:
        return {find(cache, question) for question in questions for _ in range(2)}

    with ThreadPoolExecutor(9) as threads:
        readers = [threads.submit(read, number) for number in range(8)]
        stored = threads.submit(lambda: [put(cache, question, make_entry(question)) for question in questions])
        assert all(stored.result())
        assert set().union(*(reader.result() for reader in readers)) <= {"13", None}
    assert read(0) == {"13"}
    assert cache.notices == []


WRITER = """
import sys
from pathlib import Path
from tests.unit.serve.test_path_cache import PathCache, make_entry, put
cache = PathCache(Path(sys.argv[1]), 1 << 20)
for number in range(int(sys.argv[2]), 10**6):
    question = f"What is {number} + 1?"
    print(put(cache, question, make_entry(question, str(number + 1), length=4000)), flush=True)
"""


def test_a_kill_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    """Kills at random moments of writing, evicting and cutting the log; the last entries are all there, and right."""
    file, number, chance = tmp_path / "paths.db", 0, random.Random(5)
    for _ in range(8):
        command = [sys.executable, "-c", WRITER, str(file), str(number)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": ":".join(sys.path)}
        ) as child:
            assert child.stdout
            for _ in range(chance.randrange(40, 160)):
                assert child.stdout.readline() == "True\n"
                number += 1
            child.send_signal(signal.SIGKILL)
            number += child.stdout.read().count("True\n")
        with PathCache(file, 1 << 20) as cache:
            assert cache.notices == []
            found = [find(cache, f"What is {n} + 1?") for n in range(max(0, number - 50), number)]
            assert found == [str(n + 1) for n in range(max(0, number - 50), number)]
        check = sqlite3.connect(file)
        assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        check.close()


# Files that are not as they should be


def fill(file: Path) -> None:
    with PathCache(file, BOUND) as cache:
        for number in range(50):
            put(cache, f"What is {number}?", make_entry(f"What is {number}?", length=9000))


def test_damage_inside_is_met_and_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "paths.db"
    fill(file)
    content = file.read_bytes()
    file.write_bytes(content[:PAGE] + random.Random(1).randbytes(len(content) - PAGE))
    with PathCache(file, BOUND) as cache:
        assert [find(cache, f"What is {number}?") for number in range(50)] == [None] * 50
        assert cache.notices == [
            f"{file}: the cache of reasoning paths was damaged: it is kept as paths.db.damaged, and begun anew"
        ]
        assert put(cache, QUESTION, make_entry(QUESTION))
        assert find(cache, QUESTION) == "13"
    assert (tmp_path / "paths.db.damaged").stat().st_size == len(content)


def test_damage_that_two_threads_meet_is_set_aside_once(cache: PathCache) -> None:
    readers = cache.file._readers
    cache.file.begin_anew(readers)
    assert put(cache, QUESTION, make_entry(QUESTION))
    cache.file.begin_anew(readers)
    assert find(cache, QUESTION) == "13"
    assert len(cache.notices) == 1


def test_a_file_cut_short_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "paths.db"
    fill(file)
    file.write_bytes(file.read_bytes()[:700])
    with PathCache(file, BOUND) as cache:
        assert put(cache, QUESTION, make_entry(QUESTION)) or put(cache, QUESTION, make_entry(QUESTION))
        assert len(cache.notices) == 1
        assert find(cache, QUESTION) == "13"


def test_a_changed_letter_of_an_answer_is_noticed(tmp_path: Path) -> None:
    """SQLite has no checksums: without ours, the wrong answer would be served."""
    file = tmp_path / "paths.db"
    with PathCache(file, BOUND) as cache:
        put(cache, QUESTION, make_entry(QUESTION, answer="48151623"))
    content = file.read_bytes()
    assert content.count(b"48151623") == 2
    file.write_bytes(content.replace(b"48151623", b"48151624"))
    with PathCache(file, BOUND) as cache:
        assert find(cache, QUESTION) is None
        assert put(cache, QUESTION, make_entry(QUESTION))
        assert find(cache, QUESTION) == "13"


def test_another_version_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "paths.db")
    monkeypatch.setattr(database, "VERSION", 2)
    with PathCache(tmp_path / "paths.db", BOUND) as cache:
        assert "was written by another version of Dunwu" in cache.notices[0]
        assert cache.stats().entries == 0


def test_somebody_else_s_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    notes, other = tmp_path / "notes.txt", tmp_path / "other.db"
    notes.write_text("Mine. " * 1000)
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    for file, message in (
        (notes, "is no cache of reasoning paths"),
        (other, "is another program's database"),
        (tmp_path, "cannot be opened as a cache"),
    ):
        before = file.read_bytes() if file.is_file() else b""
        with pytest.raises(UserError, match=message):
            PathCache(file, BOUND)
        assert not file.is_file() or file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "other.db"]


def test_a_full_disk_costs_the_entry_and_not_the_answer(cache: PathCache) -> None:
    put(cache, QUESTION, make_entry(QUESTION))
    pages = cache.file.writer.execute("PRAGMA page_count").fetchone()[0]
    cache.file.writer.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(2):
        assert not put(cache, f"What is {number}?", make_entry(f"What is {number}?", length=9000))
    assert len(cache.notices) == 1
    assert "cannot be used now: database or disk is full" in cache.notices[0]
    assert find(cache, QUESTION) == "13"


def test_another_writer_is_waited_for_and_then_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.0)
    with PathCache(tmp_path / "paths.db", BOUND) as cache:
        put(cache, QUESTION, make_entry(QUESTION))
        other = sqlite3.connect(tmp_path / "paths.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert not put(cache, "What is 5?", make_entry("What is 5?"))
        assert find(cache, QUESTION) == "13", "who reads waits for nobody"
        other.execute("ROLLBACK")
        other.close()
        assert put(cache, "What is 5?", make_entry("What is 5?"))
