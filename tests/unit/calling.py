"""The command as tests call it: in this process, with stand-ins for what takes long."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import dunwu
from dunwu.cli import main

SOURCE = Path(dunwu.__file__).parents[1]


RECIPE = """
name = "small"
[stages.base]
kind = "pretrain"
corpus = "countdown-traces"
tokens = 100_000
transformer = { hidden_size = 128, layers = 4, heads = 4, kv_heads = 2, intermediate_size = 384 }
[stages.zero]
kind = "rl"
from = "base"
steps = 32
reference_every = 32
tasks = [{ task = "countdown", levels = [3] }]
rollout = { questions = 8, group_size = 4, max_new_tokens = 96 }
prompt = { max_tokens = 64 }
update = { minibatches = 4 }
"""


def call(*arguments: str | Path) -> Result:
    """Runs the command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


Calls = list[tuple[Any, ...]]


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, **functions: Callable[..., Any]) -> None:
    """Puts functions in the place of a module that a command would import."""
    fake = ModuleType(module)
    for name, function in functions.items():
        setattr(fake, name, function)
    monkeypatch.setitem(sys.modules, module, fake)


def raising(error: BaseException) -> Callable[..., None]:
    def function(*_: object, **__: object) -> None:
        raise error

    return function
