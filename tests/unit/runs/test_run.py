"""Beginning, resuming and locking a run directory."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runs.making import RECIPE, STAGE, begin, write_weights

from dunwu.errors import Fault, UserError
from dunwu.runs import RunReader, RunWriter
from dunwu.runs.atomic import atomic_remove
from dunwu.runs.lock import TRIES, DirectoryLock

HOLD = """
import sys, pathlib
from tests.unit.runs.making import begin
run = begin(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""
HOLD_IN_A_PARENT = """
import os, sys, pathlib
from tests.unit.runs.making import begin
run = begin(pathlib.Path(sys.argv[1]))
if os.fork() == 0:
    print("ready", flush=True)
    sys.stdin.read()
else:
    os.wait()
"""


def changed(**fields: Any) -> dict[str, Any]:
    """RECIPE with fields of its stage replaced."""
    recipe = copy.deepcopy(RECIPE)
    recipe["stages"][STAGE].update(fields)
    return recipe


def test_create_writes_what_the_reader_reads(tmp_path: Path) -> None:
    with begin(tmp_path / "deep" / "run") as run:
        run.stage(STAGE)
        run.write_summary({"seconds": 0.1})
    reader = RunReader(tmp_path / "deep" / "run")
    assert reader.seed == 7
    assert reader.manifest["versions"] == {"a": "1", "b": "2"}
    assert reader.recipe == RECIPE
    assert reader.stages == {STAGE: "running"}
    assert reader.read_summary() == {"seconds": 0.1}
    assert (reader.directory / "recipe.toml").read_text() == "# test\n"


def test_seconds_add_up_over_processes(tmp_path: Path) -> None:
    with begin(tmp_path / "run") as run:
        assert run.add_seconds(1.5) == 1.5
    with RunWriter.resume(tmp_path / "run", RECIPE) as run:
        assert run.add_seconds(2.0) == 3.5


def test_create_refuses_a_run_and_a_folder_of_other_things(tmp_path: Path) -> None:
    begin(tmp_path / "run").close()
    with pytest.raises(UserError, match="holds a run already: continue it with --resume"):
        begin(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(UserError, match=r"is not empty and holds no run \(thesis.tex"):
        begin(tmp_path / "other")
    with pytest.raises(UserError, match="is a file"):
        begin(tmp_path / "other" / "thesis.tex")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_create_takes_a_folder_whose_run_was_killed_before_it_began(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1 host\n")
    (tmp_path / "recipe.toml").write_text("half")
    (tmp_path / ".recipe.json.tmp-1").write_text("half")
    begin(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "manifest.json", "recipe.json", "recipe.toml"]


def test_a_run_that_recorded_nothing_takes_its_folder_back_and_one_that_did_stays(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.stage(STAGE)
        run.add_seconds(1.0)
        run.withdraw()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    with begin(tmp_path) as run:
        run.stage(STAGE).append(1, {"reward": 0.5}, {})
        run.withdraw()
    assert RunReader(tmp_path).stages == {STAGE: "running"}


@pytest.mark.parametrize("removed", range(5))
def test_a_kill_while_a_run_is_withdrawn_leaves_a_folder_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    with begin(tmp_path) as run:
        run.stage(STAGE)
        run.add_seconds(100.0)
        left, remove = iter([True] * removed + [False]), atomic_remove

        def killed(path: Path) -> None:
            if not next(left):
                raise KeyboardInterrupt
            remove(path)

        monkeypatch.setattr("dunwu.runs.run_writer.atomic_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            run.withdraw()
        monkeypatch.undo()
    if removed == 0:
        RunWriter.resume(tmp_path, RECIPE).close()
        return
    with begin(tmp_path) as run:
        assert run.add_seconds(1.0) == 1.0


@pytest.mark.parametrize("content", ["{}", '{"seconds": null}', "[]", "x"])
def test_damaged_seconds_cost_no_run(tmp_path: Path, content: str) -> None:
    with begin(tmp_path) as run:
        (tmp_path / "timings.json").write_text(content)
        assert run.add_seconds(2.0) == 2.0


def test_the_run_that_was_meant_is_named(tmp_path: Path) -> None:
    def message(directory: Path) -> str:
        with pytest.raises(UserError) as error:
            RunReader(directory)
        return error.value.message

    for name in ("demo", "eval-math"):
        begin(tmp_path / "runs" / name).close()
    runs = tmp_path / "runs"
    assert message(runs / "dmo") == f"no such folder; did you mean {runs / 'demo'}?"
    assert message(runs / "zebra") == "no such folder"
    assert message(tmp_path / "rnus") == f"no such folder; did you mean {runs}?"
    below = f"{runs / 'demo'}, {runs / 'eval-math'}"
    assert message(runs) == f"is no run directory: it holds no manifest.json; runs below it: {below}"
    for number in range(9):
        begin(runs / f"more-{number}").close()
    assert message(runs).endswith(f"{runs / 'more-7'} and 1 more")
    (tmp_path / "notes.txt").touch()
    assert message(tmp_path / "notes.txt") == "is no run directory, but a file"


def test_reading_or_resuming_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run to resume"):
        RunWriter.resume(tmp_path, RECIPE)
    with pytest.raises(UserError, match="is no run directory"):
        RunReader(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json: cannot be read"):
        RunReader(tmp_path)


@pytest.mark.parametrize(
    ("recipe", "field"),
    [
        (RECIPE | {"seed": 8}, "seed"),
        (changed(rollout={"group_size": 4, "max_sequences": 8}), f"stages.{STAGE}.rollout.group_size"),
        (changed(steps=4), f"stages.{STAGE}.steps"),
        (changed(kind="sft"), f"stages.{STAGE}.kind"),
        (changed(extra={"a": 1}), f"stages.{STAGE}.extra"),
    ],
)
def test_resume_names_the_field_that_changed(tmp_path: Path, recipe: dict[str, Any], field: str) -> None:
    with begin(tmp_path) as run:
        run.stage(STAGE)
    with pytest.raises(UserError, match="since the run began") as raised:
        RunWriter.resume(tmp_path, recipe)
    assert raised.value.field == field
    assert f"`dunwu run {tmp_path}/recipe.json --out {tmp_path} --resume` goes on as it is" in raised.value.message
    assert ("prolonged" in raised.value.message) == field.endswith("steps")
    RunWriter.resume(tmp_path, RECIPE).close()  # the refusal gave the lock back and changed nothing


def test_a_stage_that_has_not_begun_may_be_any_other(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.stage(STAGE).finish(write_weights(1))
    later = {**RECIPE, "stages": {**RECIPE["stages"], "later": {"kind": "sft", "epochs": 2}}}
    with RunWriter.resume(tmp_path, later) as run:
        assert run.stages == {STAGE: "done"}
    later["stages"]["later"]["epochs"] = 3
    with RunWriter.resume(tmp_path, later) as run:
        run.stage("later")
    later["stages"]["later"]["epochs"] = 4
    with pytest.raises(UserError, match="epochs: changed from 3 to 4 since the run began"):
        RunWriter.resume(tmp_path, later)


def test_a_stage_whose_folder_was_removed_begins_again_with_other_inputs(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        run.check_inputs(STAGE, {"from": "1"})
        stage.finish(write_weights(1))
    with RunWriter.resume(tmp_path, RECIPE) as run:
        run.check_inputs(STAGE, {"from": "1"})
        with pytest.raises(UserError, match="from is not what stage 'zero' began from: put it back, or remove this"):
            run.check_inputs(STAGE, {"from": "2"})
    shutil.rmtree(tmp_path / "stages" / STAGE)
    with RunWriter.resume(tmp_path, changed(steps=4)) as run:
        assert run.stages == {}
        run.stage(STAGE)
        run.check_inputs(STAGE, {"from": "2"})
        assert run.stages == {STAGE: "running"}


def test_resume_takes_more_steps_and_other_ways_of_working(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.stage(STAGE).finish(write_weights(1))
        assert run.stages == {STAGE: "done"}
    other = changed(rollout={"group_size": 2, "max_sequences": 4}, checkpoint={"keep": 3, "every": 5})
    with RunWriter.resume(tmp_path, other) as run:
        assert run.stages == {STAGE: "done"}
    with RunWriter.resume(tmp_path, changed(steps=8)) as run:
        assert run.stages == {STAGE: "running"}
    assert RunReader(tmp_path).recipe["stages"][STAGE]["steps"] == 8


def test_a_stage_that_another_began_from_cannot_grow(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.stage(STAGE).finish(write_weights(1))
        run.stage("next")
    with pytest.raises(UserError, match="stage 'next' has already begun"):
        RunWriter.resume(tmp_path, changed(steps=8))


@contextmanager
def another_process(script: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs ``script`` and has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == "ready\n"
        yield process
    process.wait()


def test_a_second_process_is_named_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    with another_process(HOLD, tmp_path) as holder:
        with pytest.raises(UserError, match=f"process {holder.pid} on .* is using this run directory"):
            RunWriter.resume(tmp_path, RECIPE)
        holder.kill()
        holder.wait()
        with RunWriter.resume(tmp_path, RECIPE):
            assert (tmp_path / "lock").read_text().split()[0] == str(os.getpid())


def test_a_lock_whose_holder_has_gone_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends with it still holds the lock for a while, here for longer than a reader would."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for holder, most in ((gone.pid, 2 * TRIES), (os.getpid(), TRIES - 1)):
        lock, waited = DirectoryLock(tmp_path, holder), list[float]()

        def wait(seconds: float, lock: DirectoryLock = lock, waited: list[float] = waited) -> None:
            waited.append(seconds)
            if len(waited) == 2 * TRIES:
                lock.release()

        monkeypatch.setattr("time.sleep", wait)
        if holder == gone.pid:
            DirectoryLock(tmp_path).release()
        else:
            with pytest.raises(UserError, match=f"process {holder} on .* is using"):
                DirectoryLock(tmp_path)
            lock.release()
        assert len(waited) == most


def test_a_worker_that_outlives_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    with another_process(HOLD_IN_A_PARENT, tmp_path) as holder:
        with pytest.raises(UserError, match=f"process {holder.pid} on"):  # the worker dropped only its own copy
            RunWriter.resume(tmp_path, RECIPE)
        holder.kill()
        holder.wait()
        RunWriter.resume(tmp_path, RECIPE).close()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a\n"])
def test_names_that_would_leave_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    with begin(tmp_path) as run:
        with pytest.raises(UserError, match="names a file"):
            run.stage(name)
        with pytest.raises(UserError, match="names a file"):
            run.stage(STAGE).write_evaluation("base", name, [], {})


def test_a_summary_is_json_or_nothing(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        with pytest.raises(ValueError, match="not JSON compliant"):
            run.write_summary({"seconds": float("nan")})
        assert run.read_summary() is None
        run.write_summary({"results": {"base": {"pass@1": {"value": 0.1}}}})
    assert json.loads((tmp_path / "summary.json").read_text()) == {"results": {"base": {"pass@1": {"value": 0.1}}}}


def test_a_directory_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="cannot be written"):
        begin(Path("/proc/no-such-run"))


@pytest.mark.parametrize(
    ("file", "content", "field"),
    [
        ("manifest.json", '{"schema_version": 2, "seed": 7, "stages": {}}', "versions"),
        ("manifest.json", '{"schema_version": 2, "versions": {}, "stages": {}}', "seed"),
        ("manifest.json", '{"schema_version": 2, "seed": 7, "versions": {}, "stages": []}', "stages"),
        ("manifest.json", '{"schema_version": "2", "seed": 7, "versions": {}, "stages": {}}', "schema_version"),
        ("recipe.json", "{}", "name"),
        ("recipe.json", '{"name": "x"}', "stages"),
        ("recipe.json", '{"name": "x", "stages": {"zero": []}}', "zero"),
    ],
)
def test_a_damaged_run_is_refused_with_file_and_field(tmp_path: Path, file: str, content: str, field: str) -> None:
    begin(tmp_path / "run").close()
    path = tmp_path / "run" / file
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        RunReader(tmp_path / "run")
    assert (caught.value.file, caught.value.field) == (str(path), field)


def test_a_run_whose_recipe_text_is_gone_says_so(tmp_path: Path) -> None:
    with begin(tmp_path / "run") as run:
        assert run.read_recipe_text() == "# test\n"
        (tmp_path / "run" / "recipe.toml").unlink()
        with pytest.raises(UserError, match=r"run/recipe\.toml: cannot be read"):
            run.read_recipe_text()


def test_who_looks_at_a_finished_run_leaves_its_times_alone(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.stage(STAGE).finish(write_weights(1))
        run.add_seconds(2.0)
    before = (tmp_path / "timings.json").read_bytes()
    with RunWriter.resume(tmp_path, RECIPE) as run:
        assert run.add_seconds(60.0) == 2.0
    assert (tmp_path / "timings.json").read_bytes() == before
    with RunWriter.resume(tmp_path, changed(steps=RECIPE["stages"][STAGE]["steps"] + 8)) as run:
        assert run.add_seconds(60.0) == 62.0
