"""The public face: every name is listed, documented and typed, and none is imported before it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import dunwu

SOURCE = Path(dunwu.__file__).parents[1]
PUBLIC = [name for name in dunwu.__all__ if name != "__version__"]


def run_python(code: str, **environment: str) -> str:
    """Run code in a process that imports dunwu from here, and return what it prints."""
    environment["PYTHONPATH"] = str(SOURCE)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.strip()


def test_the_names_that_users_rely_on() -> None:
    """A change here is a change of the public interface."""
    assert dunwu.__all__ == [
        *("Completion", "Estimate", "Fault", "Interrupted", "Loop", "Message", "Policy", "Problem", "Run", "Score"),
        *(
            "ScoredGroup",
            "Summary",
            "UserError",
            "__version__",
            "evaluate",
            "export",
            "grade",
            "load",
            "open_loop",
            "plan",
        ),
        *("register", "report", "run", "train"),
    ]
    assert set(dunwu.__all__) <= set(dir(dunwu))


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, dunwu; print(*sorted({'torch', 'numpy', 'pyarrow', 'pydantic', 'rich'} & set(sys.modules)))"
    assert run_python(code) == ""


@pytest.mark.parametrize(("given", "waiting"), [
    ({}, "ACTIVE 1000 0"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None None"),
    ({"OMP_WAIT_POLICY": "PASSIVE"}, "PASSIVE None None"), ({"GOMP_SPINCOUNT": "7"}, "ACTIVE 7 0"),
    ({"KMP_BLOCKTIME": "9"}, "ACTIVE 1000 9"),
])  # fmt: skip
def test_waiting_threads_sleep_before_torch_is_loaded(given: dict[str, str], waiting: str) -> None:
    code = """
import importlib.abc, os, sys
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print(*map(os.environ.get, ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")))
            sys.exit()
sys.meta_path.insert(0, Finder())
import dunwu
import torch
"""
    assert run_python(code, **given) == waiting


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_has_a_docstring_that_says_what_it_does(name: str) -> None:
    thing = getattr(dunwu, name)
    assert inspect.getdoc(thing)
    if inspect.isfunction(thing):
        assert "return" in thing.__annotations__
        text = inspect.getdoc(thing) or ""
        assert all(f"{parameter}:" in text for parameter in inspect.signature(thing).parameters)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = getattr(dunwu, "trian")  # noqa: B009  -- what a typing mistake does
