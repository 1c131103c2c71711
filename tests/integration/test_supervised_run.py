"""A run in the child process of a small parent: whatever ends either of them, the other one knows and says what to do.

The child is forked from a process that has imported everything, but where a test says otherwise.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dunwu.runs import RunReader
from dunwu.runs.lock import is_held
from tests.integration.runs import SHORT_RECIPE, fingerprints, run_here, write_recipe
from tests.unit.calling import SOURCE, call

GENERATION, UPDATE = "dunwu.rollout.collect.stream", "dunwu.pipeline.stages.rl.take_step"
SAVING = "dunwu.runs.checkpoints.save"
PHASES = [pytest.param(GENERATION, id="generation"), pytest.param(UPDATE, id="update"), pytest.param(SAVING, id="save")]
LOST = "what came after its newest checkpoint will be made again"
WAIT_SECONDS = 120


def die(*_: Any, **__: Any) -> None:
    """What the lack of memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


def leave(*_: Any, **__: Any) -> None:
    """What a cluster's runtime does."""
    os._exit(1)


def crash(*_: Any, **__: Any) -> None:
    """What a library does; its last words go to stderr."""
    os.write(2, b"free(): invalid pointer\n")
    os.kill(os.getpid(), signal.SIGABRT)


def fail(*_: Any, **__: Any) -> None:
    """What a mistake of ours does."""
    raise RuntimeError("no such thing")


def kill_parent(*_: Any, **__: Any) -> None:
    """What nobody can prepare for."""
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()


def stop(*_: Any, check: Callable[[float], None] = lambda share: None, **__: Any) -> None:
    """Ask the parent to stop, and wait until this process has been asked."""
    asked = getattr(signal.getsignal(signal.SIGTERM), "__self__")  # noqa: B009  -- a bound method of StopSignal
    os.kill(os.getppid(), signal.SIGTERM)
    while not asked.requested:
        check(0.5)


def freeze_and_stop(*_: Any, **__: Any) -> None:
    """Stand still when the parent is asked to stop."""
    asked = getattr(signal.getsignal(signal.SIGTERM), "__self__")  # noqa: B009
    if not os.fork():
        state = Path(f"/proc/{os.getppid()}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "T":
            pass
        os.kill(int(state.read_text().rpartition(")")[2].split()[1]), signal.SIGTERM)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGSTOP)
    while not asked.requested:
        pass


def _strike(recipe: Path, out: Path, phase: str, action: Callable[..., None], number: int) -> None:
    """Run a recipe; a function is replaced such that its call of a number begins with an action."""
    module, _, name = phase.rpartition(".")
    whole, calls = getattr(sys.modules[module], name), iter(range(1, 1000))

    def struck(*arguments: Any, **named: Any) -> Any:
        if next(calls) == number:
            action(*arguments, **named)
        return whole(*arguments, **named)

    os.dup2(os.open(out.with_suffix(".stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    with patch(phase, struck):
        run_here(recipe, out, ())


def strike(recipe: Path, out: Path, phase: str, action: Callable[..., None], number: int = 3) -> tuple[int, list[str]]:
    """Exit code of the parent, and what the run wrote to stderr."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dunwu.cli.driver", "dunwu.pipeline.stages.rl", "transformers.models.qwen3"])
    process = context.Process(target=_strike, args=(recipe, out, phase, action, number))
    process.start()
    process.join(WAIT_SECONDS)
    code = process.exitcode
    process.kill()
    assert code is not None, "it hangs"
    return code, out.with_suffix(".stderr").read_text().splitlines()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"), SHORT_RECIPE.replace("steps = 8", "steps = 6"))


@pytest.fixture(scope="module")
def straight(recipe: Path) -> Path:
    """A run that nobody disturbed."""
    out = recipe.parent / "straight"
    assert strike(recipe, out, GENERATION, fail, number=999) == (0, [])
    return out


@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_child_is_one_line_and_goes_on_the_same(
    recipe: Path, straight: Path, tmp_path: Path, phase: str
) -> None:
    out = tmp_path / "run"
    code, said = strike(recipe, out, phase, die)
    assert code == 3
    how = f"the run's process was killed by signal 9 (out of memory?); {LOST}"
    assert len(said) == 1
    assert said[0].startswith(f"{how}; resume with: ")
    assert said[0].endswith(f"dunwu run {recipe} --out {out} --resume")
    assert RunReader(out).state == ("stopped", how)
    assert is_held(out) is False
    assert strike(recipe, out, phase, fail, number=999) == (0, [])
    assert fingerprints(out) == fingerprints(straight)


def test_a_child_that_leaves_or_crashes_is_one_line_with_its_own_above(recipe: Path, tmp_path: Path) -> None:
    code, said = strike(recipe, tmp_path / "left", UPDATE, leave)
    assert code == 3
    assert len(said) == 1
    assert said[0].startswith(f"the run's process ended without a word, with exit code 1; {LOST}; resume with: ")
    code, said = strike(recipe, tmp_path / "crashed", UPDATE, crash)
    assert code == 3
    assert said[0] == "free(): invalid pointer"
    assert said[-1].startswith(f"the run's process was killed by signal 6 (Aborted); {LOST}; resume with: ")


@pytest.mark.parametrize("phase", PHASES)
def test_a_stop_reaches_the_child_in_each_phase(recipe: Path, straight: Path, tmp_path: Path, phase: str) -> None:
    out = tmp_path / "run"
    code, said = strike(recipe, out, phase, stop)
    assert code == 3
    assert len(said) == 1
    assert said[0].startswith("asked to stop; ")
    assert said[0].endswith(f"dunwu run {recipe} --out {out} --resume")
    assert RunReader(out).state.kind == "stopped"
    assert is_held(out) is False
    assert strike(recipe, out, phase, fail, number=999) == (0, [])
    assert fingerprints(out) == fingerprints(straight)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_that_stands_still_stops_as_any_other(recipe: Path, tmp_path: Path) -> None:
    code, said = strike(recipe, tmp_path / "run", GENERATION, freeze_and_stop)
    assert code == 3
    assert len(said) == 1
    assert said[0].startswith("asked to stop; ")


@pytest.mark.parametrize("phase", PHASES)
def test_a_killed_parent_takes_its_child_along(recipe: Path, straight: Path, tmp_path: Path, phase: str) -> None:
    out = tmp_path / "run"
    assert strike(recipe, out, phase, kill_parent) == (-signal.SIGKILL, [])
    assert strike(recipe, out, phase, fail, number=999) == (0, [])  # at once: it waits for the child's lock
    assert fingerprints(out) == fingerprints(straight)


def test_a_fault_is_the_child_s_line(recipe: Path, tmp_path: Path) -> None:
    line = "fault: RuntimeError: no such thing (DUNWU_DEBUG=1 shows where)"
    assert strike(recipe, tmp_path / "run", UPDATE, fail) == (1, [line])
    assert RunReader(tmp_path / "run").state == ("failed", "RuntimeError: no such thing")


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command in processes of its own."""
    return subprocess.run(
        [sys.executable, "-m", "dunwu", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments", [("nowhere.toml",), ("nano/r1-zero", "--set", "stages.zero.stepz=1"), ("--no-such-option",)]
)
def test_wrong_input_is_the_line_of_a_command_in_one_process(arguments: tuple[str, ...]) -> None:
    expected, done = call("run", *arguments), command("run", *arguments)
    assert done.returncode == expected.exit_code == 2
    assert done.stderr == expected.stderr
    assert done.stdout == expected.stdout


def events(text: str) -> Iterator[dict[str, Any]]:
    """JSON lines without what the clock says."""
    for line in text.splitlines():
        event = json.loads(line)
        yield {
            name: value for name, value in event.items() if name not in ("seconds", "left_seconds", "report", "summary")
        }


def test_json_lines_are_those_of_a_command_in_one_process(recipe: Path, tmp_path: Path) -> None:
    settings = ("--log", "json", "--set", "stages.zero.steps=2")
    done = command("run", recipe, *settings, "--out", tmp_path / "run")
    assert (done.returncode, done.stderr) == (0, "")
    expected = call("run", recipe, *settings, "--out", tmp_path / "here")
    mine, theirs = done.stdout, expected.stdout.replace(str(tmp_path / "here"), str(tmp_path / "run"))
    assert len(list(events(mine))) > 5
    assert list(events(mine)) == list(events(theirs))
    assert re.sub(r"[0-9.e-]+", "0", mine) == re.sub(r"[0-9.e-]+", "0", theirs)


def test_ctrl_c_at_a_terminal_stops_once(recipe: Path, tmp_path: Path) -> None:
    """The terminal sends SIGINT to both processes."""
    arguments = ["run", str(recipe), "--out", str(tmp_path / "run"), "--set", "stages.zero.steps=2000"]
    pid, terminal = pty.fork()
    if not pid:
        os.environ["PYTHONPATH"] = str(SOURCE)
        os.execv(sys.executable, [sys.executable, "-m", "dunwu", *arguments])
    shown, typed, metrics = b"", 0, tmp_path / "run/stages/zero/metrics.jsonl"
    with suppress(OSError):  # what Linux raises where the other end is closed
        while part := os.read(terminal, 65_536):
            if not typed and metrics.exists():
                typed = os.write(terminal, b"\x03")
            shown += part
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    text = shown.decode()
    assert text.count("asked to stop") == 1, text
    assert "Traceback" not in text
    assert is_held(tmp_path / "run") is False
