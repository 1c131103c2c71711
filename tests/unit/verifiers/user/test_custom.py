"""Parts that users wrote: what they return, what goes wrong in them, and what becomes of their processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from dunwu.config.schema import RewardSpec
from dunwu.errors import UserError
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader

MakeProblem = Callable[..., Problem]
MakeCompletion = Callable[..., Completion]

GOOD = "<think>{}</think><answer>7</answer>"


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., RewardSpec]:
    """A reward with one part of the user's, as a file says it."""

    def make(source: str, **fields: Any) -> RewardSpec:
        file = tmp_path / "scorer.py"
        file.write_text(source)
        return RewardSpec.model_validate({"custom": [{"name": "short", "file": str(file), **fields}]})

    return make


def test_a_user_s_function_is_a_part(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion
) -> None:
    source = """
import sys
def score(problem, text):
    print("noise"); sys.stderr.write("noise")
    assert problem.messages[0].content is not None
    return 1 / len(text) if problem.gold == "7" else 0
"""
    text = GOOD.format("so")
    with RewardGrader(own(source, weight=10.0)) as grader:
        score = grader.score(problem("math", "7"), completion(text))
    assert score.parts["short"] == 1 / len(text)
    assert score.value == pytest.approx(2.0 + 10 / len(text))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def score(problem, text): raise KeyError('x')", "raised KeyError: 'x' (line 1) on problem"),
        ("def score(problem, text): return 'much'", "returned 'much', no number on problem"),
        ("def score(problem, text): return float('nan')", "returned nan, no number from -1e+06 to 1e+06"),
        ("def score(problem, text): return object()", "returned <object object"),
    ],
)
def test_a_function_that_is_wrong_stops_the_run(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion, source: str, message: str
) -> None:
    with RewardGrader(own(source)) as grader, pytest.raises(UserError, match=r"scorer\.py") as caught:
        grader.score(problem("math", "7"), completion("x"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def other(): pass", "cannot be loaded: ImportError: defines no score"),
        ("1 / 0", "cannot be loaded: ZeroDivisionError"),
        ("def score(:", "cannot be loaded: SyntaxError"),
        ("import os; os._exit(3)", "ends while it loads"),
    ],
)
def test_a_file_that_is_wrong_is_found_before_anything_runs(
    own: Callable[..., RewardSpec], source: str, message: str
) -> None:
    with pytest.raises(UserError, match=r"scorer\.py") as caught:
        RewardGrader(own(source))
    assert message in str(caught.value)


def test_in_a_measurement_it_stands_beside_and_decides_nothing(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion
) -> None:
    source = """
import os
def score(problem, text):
    if "die" in text: os._exit(1)
    return 0.25
"""
    with RewardGrader(own(source, weight=10.0)) as grader:
        rules = grader.measure_with(["short"])
        plain, lost = (rules.score(problem("math", "7"), completion(GOOD.format(text))) for text in ("so", "die"))
        assert grader.plain.score(problem("math", "7"), completion(GOOD.format("so"))).parts.keys() == lost.parts.keys()
    assert plain.parts == {"accuracy": 1.0, "format": 1.0, "short": 0.25}
    assert (plain.value, plain.status) == (2.0, "graded")
    assert lost.parts == {"accuracy": 1.0, "format": 1.0}
    assert (lost.value, lost.status) == (2.0, "graded")


def test_a_function_that_hangs_or_dies_is_no_verdict(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion
) -> None:
    source = """
import os, time
def score(problem, text):
    if "hang" in text: time.sleep(60)
    if "die" in text: os._exit(1)
    return 1.0
"""
    with RewardGrader(own(source, timeout_seconds=0.3)) as grader:
        scores = [grader.score(problem("math", "7"), completion(GOOD.format(text))) for text in ("hang", "die", "so")]
    assert [score.status for score in scores] == ["verifier_failed", "verifier_failed", "graded"]
    assert "died or took longer than 0.3 s, twice" in scores[0].reason
    assert scores[2].value == 3.0


def test_waiting_for_a_processor_is_no_part_of_a_function_s_time(
    own: Callable[..., RewardSpec],
    problem: MakeProblem,
    completion: MakeCompletion,
    busy: list[psutil.Process],
) -> None:
    """By the clock it takes several times its time."""
    source = """
import time
def score(problem, text):
    until = time.process_time() + 0.2
    while time.process_time() < until: pass
    return 1.0
"""
    with RewardGrader(own(source, timeout_seconds=0.4)) as grader:
        for process in psutil.Process().children(recursive=True):
            if process.is_running() and "own_worker" in " ".join(process.cmdline()):
                process.cpu_affinity(busy[0].cpu_affinity())
        score = grader.score(problem("math", "7"), completion("x"))
    assert (score.status, score.parts["short"]) == ("graded", 1.0)


def test_a_function_s_time_is_of_the_processor_and_of_sleep(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion
) -> None:
    source = """
import subprocess, sys, time
def score(problem, text):
    if text == "work":
        while True: pass
    if text == "child":
        subprocess.run([sys.executable, "-c", "while True: pass"])
    time.sleep(3600)
"""
    with RewardGrader(own(source, timeout_seconds=0.2)) as grader:
        found = [grader.score(problem("math", "7"), completion(text)).status for text in ("work", "child", "sleep")]
    assert found == ["verifier_failed"] * 3


def test_measurements_ask_no_user_s_function(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion
) -> None:
    with RewardGrader(own("def score(problem, text): raise KeyError")) as grader:
        score = grader.plain.score(problem("math", "7"), completion(GOOD.format("so")))
    assert (score.status, score.parts) == ("graded", {"accuracy": 1.0, "format": 1.0})


def test_a_killed_process_changes_no_score(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion
) -> None:
    source = "import os\npid = os.getpid()\ndef score(problem, text): return float(pid)"
    with RewardGrader(own(source)) as grader:
        seen = set()
        for _ in range(3):
            pid = int(grader.score(problem("math", "7"), completion("x")).parts["short"])
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys\ndef score(problem, text): sys.exit(3)", "raised SystemExit: 3 (line 2)"),
        ("def score(problem, text): raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("def score(problem, text): return 10**400", "raised OverflowError"),
        ("def score(problem, text): return 1e300", "returned 1e+300, no number from -1e+06 to 1e+06"),
        ("async def score(problem, text): return 1.0", "returned <coroutine object"),
    ],
)
def test_whatever_a_function_does_is_told_and_no_reward(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion, source: str, message: str
) -> None:
    with (
        RewardGrader(own(source)) as grader,
        pytest.raises(UserError, match=r"^reward\.custom\.0\.function: ") as caught,
    ):
        grader.score(problem("math", "7"), completion("x"))
    assert message in str(caught.value)


def test_numbers_of_other_libraries_are_numbers(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion, tmp_path: Path
) -> None:
    (tmp_path / "beside.py").write_text("HALF = 0.5")
    source = "import numpy, beside\ndef score(problem, text): return numpy.float32(beside.HALF)"
    with RewardGrader(own(source)) as grader:
        assert grader.score(problem("math", "7"), completion("x")).parts["short"] == 0.5


def test_what_a_function_writes_or_forks_is_no_reply(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion
) -> None:
    source = """
import os
def score(problem, text):
    if "fork" in text: os.fork()
    if "write" in text:
        for number in range(3, 20):
            try: os.write(number, b'[1, {"value": 99}]\\n')
            except OSError: pass
    return float(text[-1])
"""
    with RewardGrader(own(source)) as grader:

        def scored(text: str) -> float | None:
            return grader.score(problem("math", "7"), completion(text)).parts.get("short")

        assert [scored(f"fork {n}") for n in range(4)] == [0.0, 1.0, 2.0, 3.0]
        assert scored("write 5") in (5.0, None)
        assert scored("6") == 6.0


def test_a_process_that_does_not_listen_is_replaced(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion, tmp_path: Path
) -> None:
    """It falls silent after its reply, before a request that fits into no pipe."""
    source = f"""
import os, pathlib, signal, threading
def score(problem, text):
    if text == "last":
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGSTOP)).start()
    return 1.0
"""
    with RewardGrader(own(source, timeout_seconds=2.0)) as grader:
        assert grader.score(problem("math", "7"), completion("last")).parts["short"] == 1.0
        worker = psutil.Process(int((tmp_path / "pid").read_text()))
        while worker.status() != psutil.STATUS_STOPPED:
            assert worker.is_running()
        assert grader.score(problem("math", "7"), completion("x" * 300_000)).parts["short"] == 1.0


def test_closing_waits_for_no_function(
    own: Callable[..., RewardSpec], problem: MakeProblem, completion: MakeCompletion, tmp_path: Path
) -> None:
    """And what a function has started ends with it."""
    began = tmp_path / "began"
    source = f"""
import subprocess, time, pathlib
def score(problem, text):
    child = subprocess.Popen(["sleep", "3600"])
    pathlib.Path({str(began)!r}).write_text(str(child.pid))
    time.sleep(3600)
"""
    grader = RewardGrader(own(source, timeout_seconds=3600.0))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(grader.score, problem("math", "7"), completion("x"))
        while not (began.exists() and began.read_text()):
            assert not waiting.done()
        child = psutil.Process(int(began.read_text()))
        grader.close()
        with pytest.raises(ValueError, match="the grader is closed"):
            waiting.result()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    """Also in the middle of a function."""
    (tmp_path / "scorer.py").write_text(
        "import os, pathlib, time\ndef score(problem, text):\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\n    time.sleep(3600)\n"
    )
    program = f"""
from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import RewardGrader
import numpy as np
part = {{"name": "short", "file": {str(tmp_path / "scorer.py")!r}, "timeout_seconds": 3600}}
grader = RewardGrader(RewardSpec.model_validate({{"custom": [part]}}))
problem = Problem(id="", task="t", kind="math", level=0, language="en", messages=(), gold="7")
nothing = np.zeros(0, np.int32)
grader.score(problem, Completion(token_ids=nothing, logprobs=nothing, text="x", finish="stop"))
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        assert parent.poll() is None
    worker = psutil.Process(int((tmp_path / "pid").read_text()))
    parent.kill()
    parent.wait()
    gone, _ = psutil.wait_procs([worker], timeout=10)
    assert gone
