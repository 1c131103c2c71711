"""Whether a run goes on, and how it ended: never by what its manifest alone says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.runs.making import RECIPE, STAGE, begin

from dunwu.errors import Fault, Interrupted, UserError
from dunwu.runs import RunReader, RunWriter
from dunwu.runs.lock import is_held
from dunwu.runs.run_state import UNSAID


def test_a_run_is_running_while_a_process_holds_it_and_done_when_its_stages_are(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        assert RunReader(tmp_path).state == ("running", "")
    assert RunReader(tmp_path).state == ("stopped", UNSAID)
    with RunWriter.resume(tmp_path, RECIPE) as run:
        stage = run.stage(STAGE)
        stage.finish(lambda folder: None)
        assert run.state == ("done", "")
    assert RunReader(tmp_path).state == ("done", "")


@pytest.mark.parametrize(
    ("error", "kind", "why"),
    [
        (Interrupted("asked to stop; saved"), "stopped", "asked to stop; saved"),
        (KeyboardInterrupt(), "stopped", "KeyboardInterrupt: "),
        (Fault("NaN in the loss of step 3"), "failed", "NaN in the loss of step 3"),
        (UserError("is too short", file="a.jsonl"), "failed", "a.jsonl: is too short"),
        (RuntimeError("out of memory \ud800"), "failed", "RuntimeError: out of memory ?"),
    ],
)
def test_what_ended_a_run_is_kept_until_it_goes_on(tmp_path: Path, error: BaseException, kind: str, why: str) -> None:
    def fail() -> None:
        with begin(tmp_path) as run:
            run.stage(STAGE)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert RunReader(tmp_path).state == (kind, why)
    with RunWriter.resume(tmp_path, RECIPE):
        assert RunReader(tmp_path).state.kind == "running"
    assert RunReader(tmp_path).state == ("stopped", UNSAID)


def test_a_killed_run_is_not_running(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from tests.unit.runs.making import STAGE, begin\n"
        "run = begin(Path(sys.argv[1])); run.stage(STAGE); print('begun', flush=True); time.sleep(600)"
    )
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "begun\n"
    assert RunReader(tmp_path).state.kind == "running"
    os.kill(run.pid, signal.SIGKILL)
    run.wait(30)
    run.stdout.close()
    assert RunReader(tmp_path).state == ("stopped", UNSAID)


def test_looking_at_the_lock_keeps_nobody_from_taking_it(tmp_path: Path) -> None:
    assert is_held(tmp_path) is False, "there is no lock yet"
    begin(tmp_path).close()
    assert is_held(tmp_path) is False
    script = (
        "import sys; from pathlib import Path; from dunwu.runs.lock import is_held\n"
        "print('looks', flush=True)\nwhile True: is_held(Path(sys.argv[1]))"
    )
    looker = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert looker.stdout is not None
    assert looker.stdout.readline() == "looks\n"
    for _ in range(20):
        RunWriter.resume(tmp_path, RECIPE).close()
    looker.kill()
    looker.wait(30)
    looker.stdout.close()


def test_dates_are_those_of_the_processes(tmp_path: Path) -> None:
    before = time.time()
    with begin(tmp_path) as run:
        run.stage(STAGE)
        began, written = run.dates
        assert before - 5 <= began <= written + 5
        run.add_seconds(7200.0)
    began, ended = RunReader(tmp_path).dates
    assert ended - began == pytest.approx(7200.0)
    with RunWriter.resume(tmp_path, RECIPE) as run:
        run.add_seconds(3600.0)
    assert RunReader(tmp_path).dates[0] == began, "the first process began it"
