"""Several runs: their list, and beside each other."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.made_runs import STAGE, begin, evaluate, finished_run
from tests.unit.observatory.watching import read

from dunwu.errors import Fault, UserError
from dunwu.observatory.web.app import make_app
from dunwu.observatory.web.server import find_runs
from dunwu.observatory.web.watched_runs import WatchedRuns, name_folders
from dunwu.runs import RunReader


def test_a_run_that_is_gone_takes_no_page_of_others_along(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, rollouts=1, problems=1, samples=1) for name in ("one", "two")]
    watched = read(WatchedRuns(runs))
    shutil.rmtree(runs[1])
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:
        assert "no such folder" in client.get("/").text
        assert client.get("/compare").status_code == 200
        assert client.get("/runs/0").status_code == 200
        assert client.get("/runs/1").status_code == 404


def test_runs_stand_in_a_list_with_states_scores_and_dates_in_any_order(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, rollouts=1, problems=4, samples=1) for name in ("one", "two", "gone")]
    run = begin(tmp_path / "new")
    run.stage(STAGE)
    watched = read(WatchedRuns([*runs, tmp_path / "new"]))
    run.__exit__(Fault, Fault("NaN in the loss"), None)
    write_evaluation = RunReader(runs[1]).stage(STAGE)
    results = json.loads((write_evaluation.path / "evaluations" / "trained" / "countdown.json").read_text())
    results["pass@1"] |= {"value": 0.125}
    (write_evaluation.path / "evaluations" / "trained" / "countdown.json").write_text(json.dumps(results))
    shutil.rmtree(runs[2])
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:

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
        failed = "Stage zero failed at step 0 of 160"
        assert f'{failed}</span><small title="NaN in the loss">NaN in the loss</small>' in page
        assert "no such folder" in page
        assert re.search(r"<td>20\d\d-\d\d-\d\d \d\d:\d\d</td>", page)
        assert "done" in page
        token = client.get("/change-token").json()
        assert client.get("/change-token").json() == token
        shutil.rmtree(runs[1])
        assert client.get("/change-token").json() != token
        assert client.get("/?order=nonsense").status_code == 200


def test_compared_runs_show_what_their_bases_and_trained_models_do(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, rollouts=2, problems=4, samples=1) for name in ("one", "two")]
    with TestClient(make_app(read(WatchedRuns(runs))), base_url="http://127.0.0.1") as client:
        page = client.get("/compare").text
    first = page[page.index("<figcaption>Right answers") :].split("</figure>")[0]
    for colour in ("c0", "c1"):
        assert first.count(f'class="{colour} hollow"') == 1, "the base"
        assert first.count(f'<line class="level {colour}"') == 1, "what it does, all along"
        assert first.count(f'<circle class="{colour}"') == 2 + 2, "two rollouts; a checkpoint and the trained model"


def test_stages_that_write_no_rollouts_can_be_compared(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.stage("taught").append(1, {"loss": 1.0}, {})
        evaluate(run.stage("table"), "nano-base", "countdown", 0.5, problems=4, samples=1)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    recipe["stages"] |= {"taught": {"kind": "sft"}, "table": {"kind": "eval", "models": ["nano-base"]}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    with TestClient(make_app(read(WatchedRuns([tmp_path]))), base_url="http://127.0.0.1") as client:
        page = client.get("/compare")
    assert page.status_code == 200
    assert "nano-base</th>" in page.text
    assert "<figure>" not in page.text, "models side by side have no curves"


def test_a_folder_of_runs_and_what_is_none(tmp_path: Path, directory: Path) -> None:
    other = tmp_path / "other"
    os.symlink(directory, other)
    assert find_runs(tmp_path) == [other, directory]
    assert find_runs(directory) == [directory]
    with pytest.raises(UserError, match="is no run directory"):
        find_runs(directory / "stages")
    watched = read(WatchedRuns(find_runs(tmp_path)))
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:
        assert client.get("/").text.count('href="/runs/') == 2
        both = client.get("/compare").text
        assert both.count("<figure>") == 9
        assert client.get("/compare?run=1").text.count('class="line c1"') < both.count('class="line c1"')


def test_runs_whose_folders_have_the_same_name_are_kept_apart(tmp_path: Path) -> None:
    places = [finished_run(tmp_path / where / "demo", rollouts=1, problems=4, samples=1) for where in ("a", "b")]
    watched = WatchedRuns(places)
    read(watched)
    with TestClient(make_app(watched), base_url="http://localhost") as client:
        told = client.get("/compare").text
    for place in places:
        name = f"{place.parent.name}/demo"
        assert f'<th scope="col">{name}, base</th><th scope="col">{name}, trained</th>' in told
    assert WatchedRuns([tmp_path / "a" / "demo"]).runs[0].name == "demo"


def test_names_are_as_long_as_it_takes_to_tell_folders_apart() -> None:
    folders = [
        Path("/far/a/x/demo"),
        Path("/far/b/x/demo"),
        Path("/near/other"),
        Path("/near/other"),
        Path("/a/y/demo"),
    ]
    assert name_folders(folders) == ["a/x/demo", "b/x/demo", "/near/other", "/near/other", "y/demo"]
