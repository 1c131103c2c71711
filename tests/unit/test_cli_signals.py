"""Signals outside a command's work: no traceback, and one line where it goes on later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.calling import SOURCE

from dunwu.cli.signals import NOTHING_LOST

SIGNALLED_IMPORT = """
import importlib.abc, os, sys
command = int(os.environ.setdefault("COMMAND", str(os.getpid())))
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(command, {number})
sys.meta_path.insert(0, Finder())
"""


def signalled(folder: Path, number: int, module: str, *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a command that gets a signal when it, or the child that it works in, imports a module."""
    (folder / "sitecustomize.py").write_text(SIGNALLED_IMPORT.format(number=int(number), module=module))
    environment = os.environ | {"PYTHONPATH": f"{folder}:{SOURCE}"}
    program = f"from dunwu.cli import main; main({list(arguments)!r})"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("module", "code"),
    [("typer", -2), ("dunwu.cli.commands", -2), ("dunwu.config.loader", 130)],
    ids=["a-library", "our-own", "in-a-command"],
)
def test_ctrl_c_shows_no_traceback_while_modules_are_imported(
    tmp_path: Path, recipe: Path, module: str, code: int
) -> None:
    assert signalled(tmp_path, signal.SIGINT, module, "plan", str(recipe)) == (
        code,
        "interrupted\n" if code == 130 else "",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("module", "command", "code"),
    [
        ("typer", "run", 3),
        ("dunwu.config.loader", "run", 3),
        ("dunwu.planning", "eval", 3),
        ("dunwu.config.loader", "reproduce", 3),
        ("dunwu.config.loader", "plan", None),
    ],
)
def test_a_stop_in_the_first_second_is_one_line(
    tmp_path: Path, recipe: Path, number: int, module: str, command: str, code: int | None
) -> None:
    ended, told = signalled(tmp_path, number, module, command, str(recipe))
    if code is None:
        assert (ended, told) == (-number, ""), "nothing goes on there"
    else:
        assert (ended, told.splitlines()[-1]) == (code, NOTHING_LOST)
        assert "Traceback" not in told


def test_ctrl_c_while_a_run_is_planned_is_one_word(tmp_path: Path, recipe: Path) -> None:
    assert signalled(tmp_path, signal.SIGINT, "dunwu.config.loader", "run", str(recipe)) == (130, "interrupted\n")


def test_ctrl_c_after_the_last_line_shows_no_traceback() -> None:
    program = """
import atexit, os, signal
from dunwu.cli import main
atexit.register(os.kill, os.getpid(), signal.SIGINT)
main(["--version"])
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-2, "")


def test_a_stopped_run_ends_without_taking_its_memory_apart() -> None:
    """What is registered to be done at the end is done, and what is written is seen."""
    program = """
import atexit
from dunwu.cli.application import main
from dunwu.errors import Interrupted
class Slow:
    def __del__(self): print("taken apart", flush=True)
held = Slow()
atexit.register(print, "registered")
@main.command()
def stopped() -> None:
    raise Interrupted("saved")
main(["stopped"])
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "registered\n", "saved\n")
