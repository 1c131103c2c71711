"""The web observatory without a browser: what it shows, what it refuses, and what it does beside a run that changes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import select
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.unit.observatory.making import HOSTILE, STAGE, begin, evaluate, finished_run, group, train

from dunwu.errors import Fault, UserError
from dunwu.observatory.curves import LENGTH
from dunwu.observatory.reasoning.facts import MAKER, facts, problem_number
from dunwu.observatory.web import query
from dunwu.observatory.web.app import HEADERS, make_app
from dunwu.observatory.web.catalogue import Catalogue
from dunwu.observatory.web.library import Library
from dunwu.observatory.web.query import Filter, page_of
from dunwu.observatory.web.query import select as chosen
from dunwu.observatory.web.reader import read_some, start
from dunwu.observatory.web.server import _listen, runs_in
from dunwu.runs import BASE, RolloutRow, RunReader, StageReader
from dunwu.runs.tables import write_rollout_rows

PAGES = (
    "/runs/0",
    f"/runs/0/curves?stage={STAGE}",
    f"/runs/0/rollouts?stage={STAGE}",
    f"/runs/0/rollouts/{STAGE}/16/3",
    f"/runs/0/paths?stage={STAGE}",
    "/compare",
)


class Reader(HTMLParser):
    """Collects scripts, event handlers and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "script":
            self.scripts.append(named.get("src"))
        self.handlers += [name for name in named if name.startswith("on")]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        assert tag != "img"


def hostile_rows(directory: Path) -> list[RolloutRow]:
    """The rows of the first step, with all that a model or a data set writes replaced by an attack."""
    rows = RunReader(directory).stage(STAGE).read_rollouts(16)
    return [
        dataclasses.replace(
            row, completion=f"<think>{HOSTILE}</think>", prompt=HOSTILE, gold=HOSTILE, extracted=HOSTILE, reason=HOSTILE
        )
        for row in rows
    ]


def read(library: Library) -> Library:
    """All that is there, as the reader and the loader do it, here and now."""
    for watched in library.runs:
        for stage in watched.read().stages:
            known: dict[tuple[Path, int], bytes] = {}
            while read_some(watched.read().stage(stage), known):
                pass
        watched.refresh()
    return library


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return finished_run(tmp_path / "run", rollouts=6, problems=8, samples=2)


@pytest.fixture
def library(directory: Path) -> Library:
    """Read to the end, without a thread."""
    found = Library([directory])
    read(found)
    return found


@pytest.fixture
def client(library: Library) -> Iterator[TestClient]:
    with TestClient(make_app(library), base_url="http://127.0.0.1:8765") as found:
        yield found


def test_every_page_is_there_and_says_what_it_should(client: TestClient) -> None:
    texts = {address: client.get(address) for address in PAGES}
    assert {address: answer.status_code for address, answer in texts.items()} == dict.fromkeys(PAGES, 200)
    assert "Right answers grew from" in texts["/runs/0"].text
    assert "160 of 160 steps" not in texts["/runs/0"].text
    assert "96 of 160 steps" in texts["/runs/0"].text
    curves = texts[f"/runs/0/curves?stage={STAGE}"].text
    assert "Too few rollouts to look for an aha moment: 6." in curves
    assert curves.count("<figure>") == 18
    assert f"<b>{6 * 128:,}</b> of {6 * 128:,} answers" in texts[f"/runs/0/rollouts?stage={STAGE}"].text
    assert client.get("/", follow_redirects=False).headers["location"] == "/runs/0"


def test_what_a_model_wrote_is_inert_on_every_page(directory: Path) -> None:
    write_rollout_rows(directory / "stages" / STAGE / "rollouts" / "step-000016.parquet", hostile_rows(directory))
    library = Library([directory])
    read(library)
    with TestClient(make_app(library), base_url="http://localhost") as client:
        for address in (*PAGES, f"/runs/0/rollouts?{urlencode({'stage': STAGE, 'q': HOSTILE[:60], 'task': HOSTILE})}"):
            answer = client.get(address)
            assert answer.status_code == 200
            found = Reader(answer.text)
            assert found.scripts == ["/assets/watch.js"], address
            assert found.handlers == []
            assert all(re.match(r"/|#|\?", to) for to in found.addresses), "no page leads off this server"
            assert "\x1b" not in answer.text
            assert "\u202e" not in answer.text


@pytest.mark.parametrize(
    ("method", "address", "headers", "status"),
    [
        ("GET", "/runs/0", {"host": "evil.example"}, 400),
        ("GET", "/runs/0", {"host": "127.0.0.1.evil.example:8765"}, 400),
        ("GET", "/runs/0", {"host": "127.0.0.1:evil"}, 400),
        ("GET", "/runs/0", {"host": "LOCALHOST:8765"}, 200),
        ("GET", "/runs/0", {"host": "[::1]:8765"}, 200),
        ("POST", "/runs/0", {}, 405),
        ("DELETE", "/runs/0", {"origin": "http://evil.example"}, 405),
        ("HEAD", "/runs/0", {}, 405),
        ("OPTIONS", "/runs/0", {"origin": "http://evil.example", "access-control-request-method": "POST"}, 405),
        ("GET", "/runs/0/pulse", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        (
            "GET",
            "/runs/0",
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
            403,
        ),
        (
            "GET",
            "/runs/0",
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
            200,
        ),
        ("GET", "/runs/0", {"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_who_may_ask_for_what(
    client: TestClient, method: str, address: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, address, headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "address",
    [
        "/assets/../../../../etc/passwd",
        "/assets/..%2f..%2fpyproject.toml",
        "/assets/%2e%2e%2freport.css",
        "/runs/1",
        "/runs/-1",
        "/runs/x",
        "/runs/0/rollouts/..%2f..%2f..%2fetc/16/3",
        "/runs/0/rollouts/../16/3",
        f"/runs/0/rollouts/{STAGE}/16/999999",
        f"/runs/0/rollouts/{STAGE}/16/-1",
        f"/runs/0/rollouts/{STAGE}/17/0",
        "/runs/0/curves?stage=../../outside",
        "/runs/0/curves?stage=%2Fetc",
        f"/runs/0/paths?stage={STAGE}&problem=1",
        f"/runs/0/paths?stage={STAGE}&problem=abc",
        f"/runs/0/rollouts?stage={STAGE}&verdict=good",
        f"/runs/0/rollouts?stage={STAGE}&level=high",
        f"/runs/0/rollouts?stage={STAGE}&reward_from=nan",
        f"/runs/0/rollouts?stage={STAGE}&step_from=99999999999999999999999",
        f"/runs/0/rollouts?stage={STAGE}&start=x",
        "/compare?run=7",
        "/compare?run=a",
    ],
)
def test_nothing_outside_of_the_run_is_read_and_wrong_questions_get_one_line(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
    if "/assets" not in address:
        assert "That did not work" in answer.text


def asked(**fields: str | list[str]) -> Filter:
    return Filter.of({name: value if isinstance(value, list) else [value] for name, value in fields.items()})


def test_filters_agree_with_looking_at_every_row(directory: Path, library: Library) -> None:
    rows = RunReader(directory).stage(STAGE).read_rollouts()
    found = [one | {"row": row} for step in range(16, 97, 16) for one, row in _facts(directory, step)]
    catalogue = library[0].catalogue(STAGE)
    columns = catalogue.columns()
    assert len(columns["step"]) == len(rows) == len(found)
    cases: dict[Filter, Callable[[dict[str, Any]], bool]] = {
        asked(): lambda f: True,
        asked(verdict="right"): lambda f: f["verdict"] == 1 and f["graded"],
        asked(verdict="wrong", step_from="32", step_to="64"): lambda f: f["verdict"] == 0 and 32 <= f["step"] <= 64,
        asked(reward_from="2"): lambda f: f["value"] >= 2,
        asked(level="3", language="en", task="countdown"): lambda f: True,
        asked(language="zh"): lambda f: False,
        asked(shows=["verification", "backtracking"]): lambda f: f["verification"] and f["backtracking"],
        asked(cut="1"): lambda f: f["truncated"],
        asked(turn="mended"): lambda f: f["turn"] == 1,
        asked(problem=str(problem_number("t3"))): lambda f: f["row"].problem_id == "t3",
    }
    for question, holds in cases.items():
        expected = [place for place, one in enumerate(found) if holds(one)]
        assert sorted(chosen(catalogue, columns, question)) == expected, question
        assert Filter.of(_fields(question)) == question, "its address gives it again"
    assert 0 < sum(bool(cases[question](f)) for question in list(cases)[6:7] for f in found) < len(found)
    longest = chosen(catalogue, columns, asked(order="longest"))
    tokens = [int(columns["tokens"][row]) for row in longest]
    assert tokens == sorted(tokens, reverse=True)
    assert list(chosen(catalogue, columns, asked(order="oldest"))) == list(range(len(rows)))
    assert list(chosen(catalogue, columns, asked())) == list(range(len(rows)))[::-1]


def _facts(directory: Path, step: int) -> list[tuple[dict[str, Any], RolloutRow]]:
    rows = RunReader(directory).stage(STAGE).read_rollouts(step)
    return list(zip(facts(rows).to_pylist(), rows, strict=True))


def _fields(question: Filter) -> dict[str, list[str]]:
    return parse_qs(question.address())


def test_a_search_finds_what_is_there_page_by_page_and_goes_on_when_time_is_up(
    directory: Path, library: Library
) -> None:
    stage = RunReader(directory).stage(STAGE)
    catalogue = library[0].catalogue(STAGE)
    columns = catalogue.columns()
    everything = chosen(catalogue, columns, asked(verdict="wrong"))
    rows = stage.read_rollouts()
    for text in ("12*4-9", "WAIT: CHECK", "make 76", "nowhere to be found"):
        expected = [
            int(place)
            for place in everything
            if text.lower() in rows[place].completion.lower() or text.lower() in rows[place].prompt.lower()
        ]
        for count, seconds in ((7, 60.0), (50, 0.0)):
            hits, start = list[int](), 0
            while True:
                found = page_of(stage, columns, everything, text, start=start, count=count, seconds=seconds)
                assert len(found.rows) <= count
                hits += [int(row) for row in found.rows]
                if found.go_on is None:
                    break
                assert found.go_on > start
                start = found.go_on
            assert hits == expected, (text, count)
    first = page_of(stage, columns, everything, "nowhere to be found", start=0, count=50, seconds=0.0)
    assert first.go_on is not None
    assert first.searched < len(everything), "time was up after one step"


def test_the_catalogue_follows_a_run_that_grows_is_rewound_and_written_again(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        catalogue, known = Catalogue(StageReader(stage.path)), dict[tuple[Path, int], bytes]()

        def follow() -> None:
            while read_some(StageReader(stage.path), known):
                pass
            catalogue.refresh()

        follow()
        assert (catalogue.progress.read, catalogue.progress.stored) == (0, 0)
        train(stage, rollouts=3, questions=2)
        catalogue.refresh()
        assert (catalogue.progress.read, catalogue.progress.stored) == (0, 3), "nobody has read them yet"
        follow()
        assert len(catalogue.columns()["step"]) == 48
        before = catalogue.columns()["tokens"].copy()
        stage.rewind(32)
        follow()
        assert catalogue.steps == [16, 32]
        assert list(catalogue.columns()["tokens"]) == list(before[:32])
        random = np.random.default_rng(9)
        stage.write_rollouts(32, [group(number, 0.9, 16, random) for number in range(3)])
        catalogue.refresh()
        assert catalogue.steps == [16], "its facts are of other rollouts"
        follow()
        assert len(catalogue.columns()["step"]) == 16 + 24
        assert [rollout.step for rollout in catalogue.rollouts()] == [16, 32]


def test_the_reader_is_a_process_that_reads_and_ends_with_whoever_started_it(directory: Path) -> None:
    reader = start([directory])
    derived = directory / "derived" / STAGE
    deadline = time.monotonic() + 60
    while len(list(derived.glob("step-*.arrow"))) < 6:
        assert reader.poll() is None
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    assert os.getpriority(os.PRIO_PROCESS, reader.pid) == 19
    assert reader.stdin is not None
    reader.stdin.close()
    assert reader.wait(30) == 0


def test_a_torn_rollout_is_told_of_and_skipped_until_it_is_whole(directory: Path) -> None:
    path = directory / "stages" / STAGE / "rollouts" / "step-000032.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    library = Library([directory])
    read(library)
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:
        page = client.get(f"/runs/0/rollouts?stage={STAGE}").text
        assert "step-000032.parquet: is not a readable Parquet file" in page
        assert "<b>640</b> of 640 answers" in page
        for address in PAGES:
            assert client.get(address).status_code == 200
        pulse = client.get("/runs/0/pulse").json()
        assert client.get("/runs/0/pulse").json() == pulse
        path.write_bytes(whole)
        read(library)
        assert client.get("/runs/0/pulse").json() != pulse
        assert "<b>768</b> of 768 answers" in client.get(f"/runs/0/rollouts?stage={STAGE}").text


def empty(rows: list[RolloutRow]) -> list[RolloutRow]:
    return []


def endless(rows: list[RolloutRow]) -> list[RolloutRow]:
    return [dataclasses.replace(row, value=float("inf"), logprob=float("nan")) for row in rows]


def absurd(rows: list[RolloutRow]) -> list[RolloutRow]:
    return [dataclasses.replace(row, tokens=2**40) for row in rows]


@pytest.mark.parametrize(("change", "told"), [(empty, "holds no rollouts"), (absurd, "ArrowInvalid"), (endless, None)])
def test_one_odd_file_stops_neither_the_reader_nor_a_page(
    directory: Path, change: Callable[[list[RolloutRow]], list[RolloutRow]], told: str | None
) -> None:
    stage = RunReader(directory).stage(STAGE)
    write_rollout_rows(stage.path / "rollouts" / "step-000032.parquet", change(stage.read_rollouts(32)))
    library = read(Library([directory]))
    assert library[0].catalogue(STAGE).steps == ([16, 32, 48, 64, 80, 96] if told is None else [16, 48, 64, 80, 96])
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:
        for address in PAGES:
            assert client.get(address).status_code == 200, address
        page = client.get(f"/runs/0/rollouts?stage={STAGE}").text
        assert (told or "tried again when it changes") in page or told is None


def test_damaged_facts_are_as_good_as_none(directory: Path, library: Library) -> None:
    kept = directory / "derived" / STAGE / "step-000032.arrow"
    whole = kept.read_bytes()
    for damaged in (whole[:200], whole[: len(whole) // 2] + bytes(64) + whole[len(whole) // 2 + 64 :], b""):
        kept.write_bytes(damaged)
        found = StageReader(directory / "stages" / STAGE).derived.table(32, MAKER)
        assert found is None or found.num_rows == 128
    assert library[0].catalogue(STAGE).steps == [16, 32, 48, 64, 80, 96], "what has been taken stays"


def test_without_a_place_for_what_is_read_it_is_read_all_the_same(directory: Path) -> None:
    (directory / "derived").write_text("in the way")
    library = Library([directory])
    library[0].refresh()
    assert library[0].catalogue(STAGE).steps == [16, 32, 48, 64, 80, 96]


def test_rollouts_that_are_written_again_change_curves_and_pulse(directory: Path, library: Library) -> None:
    before, pulse = library[0].told(STAGE), library[0].pulse()
    stage = RunReader(directory).stage(STAGE)
    rows = [dataclasses.replace(row, tokens=7777) for row in stage.read_rollouts(32)]
    write_rollout_rows(stage.path / "rollouts" / "step-000032.parquet", rows)
    read(library)
    after = library[0].told(STAGE)
    lengths = [found.estimate(LENGTH) for found in (before.rollouts[1], after.rollouts[1])]
    assert lengths[0] is not None
    assert lengths[1] is not None
    assert lengths[0].value < 1000 < lengths[1].value == 7777
    assert library[0].pulse() != pulse


def test_a_run_that_is_gone_takes_no_page_of_others_along(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, rollouts=1, problems=1, samples=1) for name in ("one", "two")]
    library = read(Library(runs))
    shutil.rmtree(runs[1])
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:
        assert "is no run directory" in client.get("/").text
        assert client.get("/compare").status_code == 200
        assert client.get("/runs/0").status_code == 200
        assert client.get("/runs/1").status_code == 404


def test_a_torn_last_line_of_the_metrics_is_left_out(directory: Path, library: Library) -> None:
    with (directory / "stages" / STAGE / "metrics.jsonl").open("a") as file:
        file.write('{"step": 112, "entro')
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:
        assert "96 of 160 steps" in client.get("/runs/0").text


def test_no_verdict_is_drawn_from_a_part_of_the_rollouts(directory: Path) -> None:
    library = Library([directory])
    stage, known = RunReader(directory).stage(STAGE), dict[tuple[Path, int], bytes]()
    for step in (16, 32, 48):
        stage.derived.make(step, MAKER, facts)
    library[0].refresh()
    told = "Reading 3 of 6 rollouts; the verdict comes when all have been read."
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:
        for address in ("/runs/0", f"/runs/0/curves?stage={STAGE}"):
            page = client.get(address).text
            assert told in page, address
            assert "Too few rollouts" not in page
            assert "Reading 3 of 6 rollouts; what is made of them is not whole yet." in page
        pulse = client.get("/runs/0/pulse").json()
        while read_some(stage, known):
            pass
        library[0].refresh()
        assert client.get("/runs/0/pulse").json() != pulse
        assert "Too few rollouts to look for an aha moment: 6." in client.get("/runs/0").text
        assert "Reading" not in client.get("/runs/0").text


def test_the_newest_rollout_alone_is_not_waited_for(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        train(run.stage(STAGE), rollouts=3, questions=1)
        library = Library([tmp_path])
        for step in (16, 32):
            run.stage(STAGE).derived.make(step, MAKER, facts)
        library[0].refresh()
        assert library[0].catalogue(STAGE).progress.is_whole
        assert library[0].told(STAGE).reading is None
        run.stage(STAGE).derived.make(48, MAKER, facts)
        (tmp_path / "derived" / STAGE / "step-000032.arrow").unlink()
        fresh = Library([tmp_path])
        fresh[0].refresh()
        assert fresh[0].told(STAGE).reading == (2, 3), "one in the middle is missing"


def test_runs_stand_in_a_list_with_states_scores_and_dates_in_any_order(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, rollouts=1, problems=4, samples=1) for name in ("one", "two", "gone")]
    run = begin(tmp_path / "new")
    run.stage(STAGE)
    library = read(Library([*runs, tmp_path / "new"]))
    run.__exit__(Fault, Fault("NaN in the loss"), None)
    write_evaluation = RunReader(runs[1]).stage(STAGE)
    results = json.loads((write_evaluation.path / "evaluations" / "trained" / "countdown.json").read_text())
    results["pass@1"] |= {"value": 0.125}
    (write_evaluation.path / "evaluations" / "trained" / "countdown.json").write_text(json.dumps(results))
    shutil.rmtree(runs[2])
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:

        def names(order: str) -> list[str]:
            return re.findall(r'href="/runs/\d">(\w+)<', client.get(f"/?order={order}").text)

        assert names("run") == ["gone", "new", "one", "two"]
        assert names("-run") == ["two", "one", "new", "gone"]
        assert names("score")[:2] == ["two", "one"]
        assert set(names("score")[2:]) == set(names("-score")[2:]) == {"new", "gone"}, "without a score last, always"
        assert names("-score")[:2] == ["one", "two"]
        page = client.get("/?order=-score").text
        assert "→ 12.5" in page
        assert 'aria-sort="descending"><a href="/?order=score">' in page
        assert "Stage zero failed at step 0 of 160: NaN in the loss" in page
        assert "is no run directory" in page
        assert re.search(r"<td>20\d\d-\d\d-\d\d \d\d:\d\d</td>", page)
        assert "done" in page
        pulse = client.get("/pulse").json()
        assert client.get("/pulse").json() == pulse
        shutil.rmtree(runs[1])
        assert client.get("/pulse").json() != pulse
        assert client.get("/?order=nonsense").status_code == 200


def test_compared_runs_show_what_their_bases_and_trained_models_do(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, rollouts=2, problems=4, samples=1) for name in ("one", "two")]
    with TestClient(make_app(read(Library(runs))), base_url="http://127.0.0.1") as client:
        page = client.get("/compare").text
    first = page[page.index("<figcaption>Right answers") :].split("</figure>")[0]
    for colour in ("c0", "c1"):
        assert first.count(f'class="{colour} hollow"') == 1, "the base"
        assert first.count(f'<line class="level {colour}"') == 1, "what it does, all along"
        assert first.count(f'<circle class="{colour}"') == 2 + 2, "two rollouts; a checkpoint and the trained model"


def test_the_pulse_tells_of_everything_that_a_page_would_show(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        library = Library([tmp_path])
        watched = library[0]
        seen = [watched.pulse()]

        def changed() -> None:
            read(library)
            seen.append(watched.pulse())
            assert len(set(seen)) == len(seen)
            assert watched.pulse() == seen[-1]

        train(stage, rollouts=1, questions=1)
        changed()
        evaluate(stage, BASE, "countdown", 0.0, 2, 1)
        changed()
        stage.finish(lambda folder: None)
        changed()
        run.write_summary({"seed": 3, "seconds": 1.0, "results": {}})
        changed()


def test_watching_writes_nothing_into_the_stages(directory: Path) -> None:
    def files() -> dict[str, float]:
        return {str(path): path.stat().st_mtime_ns for path in (directory / "stages").rglob("*") if path.is_file()}

    before = files()
    library = Library([directory])
    read(library)
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:
        for address in PAGES:
            client.get(address)
    assert files() == before
    assert {path.name for path in directory.iterdir()} - {"derived"} == {
        "lock", "manifest.json", "recipe.json", "recipe.toml", "stages", "summary.json"
    }  # fmt: skip


def test_a_folder_of_runs_and_what_is_none(tmp_path: Path, directory: Path) -> None:
    other = tmp_path / "other"
    os.symlink(directory, other)
    assert runs_in(tmp_path) == [other, directory]
    assert runs_in(directory) == [directory]
    with pytest.raises(UserError, match="is no run directory"):
        runs_in(directory / "stages")
    library = read(Library(runs_in(tmp_path)))
    with TestClient(make_app(library), base_url="http://127.0.0.1") as client:
        assert client.get("/").text.count('href="/runs/') == 2
        both = client.get("/compare").text
        assert both.count("<figure>") == 9
        assert client.get("/compare?run=1").text.count('class="line c1"') < both.count('class="line c1"')


def test_runs_whose_folders_have_the_same_name_are_kept_apart(tmp_path: Path) -> None:
    places = [finished_run(tmp_path / where / "demo", rollouts=1, problems=4, samples=1) for where in ("a", "b")]
    library = Library(places)
    read(library)
    with TestClient(make_app(library), base_url="http://localhost") as client:
        told = client.get("/compare").text
    for place in places:
        assert f'<th scope="col">{place}, base</th><th scope="col">{place}, trained</th>' in told
    assert Library([tmp_path / "a" / "demo"]).runs[0].name == "demo"


def test_it_listens_on_loopback_alone_and_says_when_a_port_is_taken() -> None:
    listener = _listen(0)
    try:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(UserError, match="--port: cannot be listened on"):
            _listen(port)
        with socket.socket() as outside:
            assert outside.connect_ex(("127.0.0.2", port)) != 0, "another address of this machine"
    finally:
        listener.close()


def test_a_search_text_is_cut_at_its_length() -> None:
    assert len(asked(q="x" * 10_000).q) == query.LONGEST_SEARCH
