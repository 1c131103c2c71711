"""A function of the user's, as far as its source tells: nothing of it is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dunwu.config.loader import load_recipe
from dunwu.planning import make_plan

Write = Callable[..., Path]
PLACE = "stages.zero.reward.custom.0"
BEFORE = "[stages.zero.prompt]"
OWN = f"[[stages.zero.reward.custom]]\nname = 'mine'\nfile = 'mine.py'\n{BEFORE}"


def problems(path: Path) -> list[str]:
    """What the plan of a recipe finds in the way."""
    return [str(problem) for problem in make_plan(load_recipe(path), file=path).problems]


@pytest.mark.parametrize(
    "source",
    [
        "def score(problem, text): return 0.0",
        "def score(problem, text, scale=1.0): return 0.0",
        "def score(*arguments): return 0.0",
        "def score(problem, *rest, **more): return 0.0",
        "def score(problem, text, *, scale=1.0): return 0.0",
        "score = lambda problem, text: 0.0",
        "score: object = len",
        "from math import gcd as score",
        "import score",
        "from helpers import *",
        "try:\n    from fast import score\nexcept ImportError:\n    def score(problem, text): return 0.0",
        "if True:\n    def score(problem, text): return 0.0",
        "def score(text): return 0.0\nscore = wrapped(score)",
        "@wrapped\ndef score(text): return 0.0",
        "raise SystemExit(1)\ndef score(problem, text): return '\\d' is 1",
    ],
)
def test_what_may_be_a_function_of_two(write: Write, tmp_path: Path, source: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    assert problems(write((BEFORE, OWN))) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def score(problem, text) return 0", "file: is no Python: expected ':' (mine.py, line 1): FILE"),
        ("x = 1\nreturn x", "file: is no Python: 'return' outside function (mine.py, line 2): FILE"),
        ("x = " + "-" * 100_000 + "1", "file: is no Python: nested too deep: FILE"),
        (
            "def scoer(problem, text): return 0",
            "function: FILE defines no 'score' at its top level; did you mean scoer?",
        ),
        ("class A:\n    def score(self, text): return 0", "function: FILE defines no 'score' at its top level"),
        ("def f():\n    score = len", "function: FILE defines no 'score' at its top level"),
        ("print(score)", "function: FILE defines no 'score' at its top level"),
        ("async def score(problem, text): return 0", "function: 'score' of FILE is async; a plain function is wanted"),
        ("class score: pass", "function: 'score' of FILE is a class, not a function"),
        ("score = len\ndef score(text): return 0", "function: 'score' of FILE cannot be called with two arguments"),
        ("def score(): return 0", "function: 'score' of FILE cannot be called with two arguments, problem and text"),
        ("def score(a, b, c): return 0", "function: 'score' of FILE cannot be called with two arguments"),
        ("def score(a, b, *, c): return 0", "function: 'score' of FILE cannot be called with two arguments"),
    ],
)
def test_what_is_none(write: Write, tmp_path: Path, source: str, message: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(source)
    path = write((BEFORE, OWN))
    [problem] = problems(path)
    assert problem.startswith(f"{path}: {PLACE}.{message.replace('FILE', str(file))}")


def test_files_that_hold_no_function(write: Write, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("def score(problem, text): return 0")
    (tmp_path / "folder.py").mkdir()
    long = "x" * 300 + ".py"
    for name, message in {
        "absent.py": "no such file",
        "folder.py": "is a folder, not a Python file",
        "plain": "is no Python file (.py)",
        long: "cannot be read: File name too long",
    }.items():
        path = write((BEFORE, OWN.replace("mine.py", name)))
        assert problems(path) == [f"{path}: {PLACE}.file: {message}: {tmp_path / name}"]


@pytest.mark.parametrize("name", ["~nobody-has-this-name/mine.py", "mine\0.py"])
def test_a_path_that_cannot_be_is_no_such_file(write: Write, tmp_path: Path, name: str) -> None:
    written = name.replace("\0", "\\u0000")
    path = write((BEFORE, OWN.replace("'mine.py'", f'"{written}"')))
    assert problems(path) == [f"{path}: {PLACE}.file: no such file: {tmp_path / name}".replace("\0", "")]


def test_a_reward_of_a_module_that_is_not_there_is_refused(write: Write) -> None:
    reward = f"[[stages.zero.reward.custom]]\nname = 'mine'\nfunction = 'no_such_module:score'\n{BEFORE}"
    (problem,) = problems(path := write((BEFORE, reward)))
    assert problem.startswith(f"{path}: {PLACE}.function: no module is called 'no_such_module' here")
