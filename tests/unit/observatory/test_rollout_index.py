"""What is read of a run that grows, is rewound, is damaged, or is not read to the end yet."""

from __future__ import annotations

import dataclasses
import os
import select
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.made_runs import STAGE, begin, evaluate, group, train
from tests.unit.observatory.watching import PAGES, read

from dunwu.analysis.curves import LENGTH
from dunwu.analysis.facts_worker import extract_some, start_worker
from dunwu.analysis.reasoning.facts import FACTS_VERSION, extract_facts
from dunwu.observatory.web.app import make_app
from dunwu.observatory.web.rollout_index import RolloutIndex
from dunwu.observatory.web.watched_runs import WatchedRuns
from dunwu.runs import BASE, AnswerRow, RunReader, StageReader
from dunwu.runs.answer_tables import ROLLOUTS, write_answers


def test_the_index_follows_a_run_that_grows_is_rewound_and_written_again(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        index, known = RolloutIndex(StageReader(stage.path)), dict[tuple[Path, int], bytes]()

        def follow() -> None:
            while extract_some(StageReader(stage.path), known):
                pass
            index.refresh()

        follow()
        assert (index.progress.read, index.progress.stored) == (0, 0)
        train(stage, rollouts=3, questions=2)
        index.refresh()
        assert (index.progress.read, index.progress.stored) == (0, 3), "nobody has read them yet"
        follow()
        assert len(index.join_columns()["step"]) == 48
        before = index.join_columns()["tokens"].copy()
        stage.rewind(32)
        follow()
        assert index.steps == [16, 32]
        assert list(index.join_columns()["tokens"]) == list(before[:32])
        random = np.random.default_rng(9)
        stage.write_rollouts(32, [group(number, 0.9, 16, random) for number in range(3)])
        index.refresh()
        assert index.steps == [16], "its facts are of other rollouts"
        follow()
        assert len(index.join_columns()["step"]) == 16 + 24
        assert [rollout.step for rollout in index.choose_rollouts()] == [16, 32]


def test_the_reader_is_a_process_that_reads_and_ends_with_whoever_started_it(directory: Path) -> None:
    reader = start_worker([directory])
    derived = directory / "derived" / STAGE
    deadline = time.monotonic() + 600  # of a reader that is last in turn on a busy machine
    while len(list(derived.glob("step-*.arrow"))) < 6:
        assert reader.poll() is None
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    assert os.getpriority(os.PRIO_PROCESS, reader.pid) == 19
    assert reader.stdin is not None
    reader.stdin.close()
    assert reader.wait(600) == 0


def test_a_torn_rollout_is_told_of_and_skipped_until_it_is_whole(directory: Path) -> None:
    path = directory / "stages" / STAGE / "rollouts" / "step-000032.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    watched = WatchedRuns([directory])
    read(watched)
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:
        page = client.get(f"/runs/0/rollouts?stage={STAGE}").text
        assert "step-000032.parquet: is not a readable Parquet file" in page
        assert "<b>640</b> of 640 answers" in page
        for address in PAGES:
            assert client.get(address).status_code == 200
        token = client.get("/runs/0/change-token").json()
        assert client.get("/runs/0/change-token").json() == token
        path.write_bytes(whole)
        read(watched)
        assert client.get("/runs/0/change-token").json() != token
        assert "<b>768</b> of 768 answers" in client.get(f"/runs/0/rollouts?stage={STAGE}").text


def empty(rows: list[AnswerRow]) -> list[AnswerRow]:
    return []


def endless(rows: list[AnswerRow]) -> list[AnswerRow]:
    return [dataclasses.replace(row, value=float("inf"), logprob=float("nan")) for row in rows]


def absurd(rows: list[AnswerRow]) -> list[AnswerRow]:
    return [dataclasses.replace(row, tokens=2**40) for row in rows]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (empty, "holds no rollouts"),
        (absurd, "holds numbers that are too large"),
        (endless, "column logprob, row 1: holds no finite number"),
    ],
)
def test_one_odd_file_stops_neither_the_reader_nor_a_page(
    directory: Path, change: Callable[[list[AnswerRow]], list[AnswerRow]], told: str
) -> None:
    stage = RunReader(directory).stage(STAGE)
    write_answers(stage.path / "rollouts" / "step-000032.parquet", change(stage.read_rollouts(32)), ROLLOUTS)
    watched = read(WatchedRuns([directory]))
    assert watched[0].open_index(STAGE).steps == [16, 48, 64, 80, 96]
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:
        for address in PAGES:
            assert client.get(address).status_code == 200, address
        page = client.get(f"/runs/0/rollouts?stage={STAGE}").text
        assert told in page


def test_damaged_facts_are_as_good_as_none(directory: Path, watched: WatchedRuns) -> None:
    kept = directory / "derived" / STAGE / "step-000032.arrow"
    whole = kept.read_bytes()
    for damaged in (whole[:200], whole[: len(whole) // 2] + bytes(64) + whole[len(whole) // 2 + 64 :], b""):
        kept.write_bytes(damaged)
        found = StageReader(directory / "stages" / STAGE).derived.read_table(32, FACTS_VERSION)
        assert found is None or found.num_rows == 128
    assert watched[0].open_index(STAGE).steps == [16, 32, 48, 64, 80, 96], "what has been taken stays"


def test_without_a_place_for_what_is_read_it_is_read_all_the_same(directory: Path) -> None:
    (directory / "derived").write_text("in the way")
    watched = WatchedRuns([directory])
    watched[0].refresh()
    assert watched[0].open_index(STAGE).steps == [16, 32, 48, 64, 80, 96]


def test_rollouts_that_are_written_again_change_curves_and_token(directory: Path, watched: WatchedRuns) -> None:
    before, token = watched[0].read_stage(STAGE), watched[0].make_change_token()
    stage = RunReader(directory).stage(STAGE)
    rows = [dataclasses.replace(row, tokens=7777) for row in stage.read_rollouts(32)]
    write_answers(stage.path / "rollouts" / "step-000032.parquet", rows, ROLLOUTS)
    read(watched)
    after = watched[0].read_stage(STAGE)
    lengths = [found.estimate(LENGTH) for found in (before.rollouts[1], after.rollouts[1])]
    assert lengths[0] is not None
    assert lengths[1] is not None
    assert lengths[0].value < 1000 < lengths[1].value == 7777
    assert watched[0].make_change_token() != token


def test_no_verdict_is_drawn_from_a_part_of_the_rollouts(directory: Path) -> None:
    watched = WatchedRuns([directory])
    stage, known = RunReader(directory).stage(STAGE), dict[tuple[Path, int], bytes]()
    for step in (16, 32, 48):
        stage.derived.make_table(step, FACTS_VERSION, extract_facts)
    watched[0].refresh()
    told = "Reading 3 of 6 rollouts; the verdict comes when all have been read."
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:
        for address in ("/runs/0", f"/runs/0/curves?stage={STAGE}"):
            page = client.get(address).text
            assert told in page, address
            assert "Too few rollouts" not in page
            assert "Reading 3 of 6 rollouts; what is made of them is not whole yet." in page
        token = client.get("/runs/0/change-token").json()
        while extract_some(stage, known):
            pass
        watched[0].refresh()
        assert client.get("/runs/0/change-token").json() != token
        assert "Too few rollouts to look for an aha moment: 6." in client.get("/runs/0").text
        assert "Reading" not in client.get("/runs/0").text


def test_the_newest_rollout_alone_is_not_waited_for(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        train(run.stage(STAGE), rollouts=3, questions=1)
        watched = WatchedRuns([tmp_path])
        for step in (16, 32):
            run.stage(STAGE).derived.make_table(step, FACTS_VERSION, extract_facts)
        watched[0].refresh()
        assert watched[0].open_index(STAGE).progress.is_whole
        assert watched[0].read_stage(STAGE).reading is None
        run.stage(STAGE).derived.make_table(48, FACTS_VERSION, extract_facts)
        (tmp_path / "derived" / STAGE / "step-000032.arrow").unlink()
        fresh = WatchedRuns([tmp_path])
        fresh[0].refresh()
        assert fresh[0].read_stage(STAGE).reading == (2, 3), "one in the middle is missing"


def test_the_change_token_changes_with_everything_that_a_page_would_show(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        runs = WatchedRuns([tmp_path])
        watched = runs[0]
        seen = [watched.make_change_token()]

        def changed() -> None:
            read(runs)
            seen.append(watched.make_change_token())
            assert len(set(seen)) == len(seen)
            assert watched.make_change_token() == seen[-1]

        train(stage, rollouts=1, questions=1)
        changed()
        evaluate(stage, BASE, "countdown", 0.0, 2, 1)
        changed()
        stage.finish(lambda folder: None)
        changed()
        run.write_summary({"seed": 3, "seconds": 1.0, "results": {}})
        changed()
