"""A run beside processes that take every processor leaves the files of a run that is alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.runs import exit_code, fingerprints, start, write_recipe

RECIPE = """
name = "load"
seed = 11

[stages.zero]
kind = "rl"
from = "nano-base"
steps = 4
reference_every = 0
[[stages.zero.tasks]]
task = "file"
path = "problems.jsonl"
fields = { problem = "q", answer = "a" }
[stages.zero.prompt]
template = "nano"
max_tokens = 64
[stages.zero.rollout]
questions = 4
group_size = 4
max_new_tokens = 96
[stages.zero.update]
minibatches = 2
[stages.zero.model]
threads = 1
[stages.zero.reward]
workers = 2
timeout_seconds = 0.4
[[stages.zero.reward.custom]]
name = "slow"
file = "slow.py"
timeout_seconds = 0.4
"""
SLOW = """
import time
def score(problem, text):
    seconds = 2.0 if len(text) % 8 == 0 else 0.05  # the first is over its time, wherever it runs
    began = time.process_time()
    while time.process_time() < began + seconds:
        pass
    return seconds
"""


def write_run(folder: Path) -> Path:
    """A recipe whose rewards come from workers: golds that only sympy can compare, some over their time, and a user's
    function that is."""
    rng = random.Random(0)
    rows = []
    for number in range(40):
        numbers = [rng.randint(2, 12) for _ in range(3)]
        gold = "9^{9^9}" if number % 5 == 0 else rf"\sqrt{{{sum(numbers) ** 2}}}"
        rows.append({"q": "Use {}, {} and {} once each with + - * / to make 30.".format(*numbers), "a": gold})
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "slow.py").write_text(SLOW)
    return write_recipe(folder, RECIPE)


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that never rest."""
    command = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(command, start_new_session=True) for _ in range(loops)]  # each with a turn of its own
    try:
        yield
    finally:
        for loop in started:
            loop.kill()
            loop.wait()


def files_of_a_run(recipe: Path, out: Path) -> dict[str, str]:
    """The fingerprints of what a run leaves."""
    process = start(recipe, out)
    process.join()
    assert exit_code(process) == 0
    return fingerprints(out)


@pytest.mark.slow
def test_four_busy_processes_change_no_file_of_a_run(tmp_path: Path) -> None:
    recipe = write_run(tmp_path)
    alone = files_of_a_run(recipe, tmp_path / "alone")
    assert any(name.endswith(".parquet") for name in alone)
    with busy(2 * (os.cpu_count() or 1)):
        beside = [files_of_a_run(recipe, tmp_path / f"beside-{number}") for number in range(10)]
    assert [files == alone for files in beside] == [True] * 10
