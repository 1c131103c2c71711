"""Problems, completions and one grader for all tests of the room."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Finish, Message, Problem
from dunwu.verifiers import RewardGrader

DATA = Path(__file__).parents[4] / "shared" / "data"
OWN = Path(__file__).parents[2] / "data" / "golds.jsonl"
"""Problems of our own with an answer of every type, for machines without the data sets."""
SETS = {"own": 64, "gsm8k_test": 1319, "math500": 500, "aime24": 30, "amc23": 40, "cmath": 600}


def file_of(name: str) -> Path:
    """Where a set of ``SETS`` lies."""
    return OWN if name == "own" else DATA / f"{name}.jsonl"


def golds(name: str) -> list[str]:
    """The gold answers of a data set, as strings."""
    file = file_of(name)
    if not file.exists():
        pytest.skip(f"{file} is not on this machine")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [str(row["answer"]).split("####")[-1].strip() for row in rows]


def make_problem(kind: str, gold: str, tests: tuple[str, ...] = ()) -> Problem:
    """A problem of which only the verifier's part matters."""
    question = (Message(role="user", content="?"),)
    return Problem(id="p", task="t", kind=kind, level=1, language="en", messages=question, gold=gold, tests=tests)


def make_completion(text: str, finish: Finish = "stop") -> Completion:
    """A completion of which only text and finish matter."""
    return Completion(
        token_ids=np.zeros(1, np.int32),
        logprobs=np.zeros(1, np.float32),
        text=text,
        finish=finish,
    )


@pytest.fixture(scope="session")
def problem() -> Callable[..., Problem]:
    return make_problem


@pytest.fixture(scope="session")
def completion() -> Callable[..., Completion]:
    return make_completion


@pytest.fixture(scope="session")
def grader() -> Iterator[RewardGrader]:
    """Answer tags, two workers; generous time, because what is tested with it is no timeout."""
    with RewardGrader(RewardSpec(workers=2, timeout_seconds=20.0)) as shared:
        yield shared


@pytest.fixture
def busy() -> Iterator[list[psutil.Process]]:
    """Eight processes that never rest, all on one processor."""
    command = [sys.executable, "-c", "while True: pass"]
    loops = [psutil.Popen(command, start_new_session=True) for _ in range(8)]  # or they share one turn (autogroup)
    for loop in loops:
        loop.cpu_affinity([min(os.sched_getaffinity(0))])
    yield loops
    for loop in loops:
        loop.kill()
        loop.wait()
