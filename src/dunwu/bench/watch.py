"""The observatory: what it costs a run to be watched, and how it answers over a million stored rollouts.

``watched``   rollouts a second of a run whose policy stays as it is, in turns with and without ``dunwu watch`` and a
              client that follows it as a page in a browser does; the peer is the same run while these two are stopped.
              ``waited`` is the better measure where a machine's moods are larger than what watching costs: how many
              seconds of a second the run's threads waited for a processor, all together. What it is more than
              ``waited_unwatched`` (``slowing_95``: its interval) is the most that watching can have taken from the run
``filter``    filters a second over 1,000,000 stored rollouts, each a page as a browser asks for it
``overview``  the first page a second of the same run

The last two also say the memory of the server, and which share of it is pages of files that the kernel may drop.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from dunwu.analysis.reasoning import facts
from dunwu.errors import Fault, UserError
from dunwu.runs import RunReader, RunWriter

PROGRAM = [sys.executable, "-c", "from dunwu.cli import main; main()"]
RECIPE = """
name = "standing-still"
[stages.zero]
kind = "rl"
from = "nano-base"
steps = 4000
reference_every = 0
tasks = [{ task = "countdown", levels = [3], languages = ["en", "zh"] }]
prompt = { template = "nano", max_tokens = 64 }
rollout = { questions = 32, group_size = 16, max_new_tokens = 128, max_sequences = 512 }
algorithm = { kl_coefficient = 0.0 }
optimizer = { lr = 1e-12 }
update = { minibatches = 4 }
checkpoint = { every = 4000 }
"""
"""A policy that does not change, so that one rollout takes as long as another."""
TURNS, SETTLING, ROLLOUTS = 32, 1, 3
"""Half of them watched (A B B A); the rollouts of each in which the watcher catches up, and those that are measured."""
POLL_SECONDS, SHARE = 2.0, 0.01
"""As in watch.js."""
STEPS, DISTINCT = 500, 20
"""Rollouts of the large run, each of 2,000 completions, and how many of them differ."""
QUESTIONS = 125
QUERIES = (
    "verdict=wrong",
    "verdict=wrong&shows=backtracking",
    "shows=verification&shows=alternatives&order=longest",
    "reward_from=1&reward_to=1.5&order=reflection",
    "level=3&language=en&step_from=400&step_to=1200",
    "turn=mended",
)
REPEATS = 5


def measure(against: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Measure the three workloads.

    Args:
        against: Nothing: the peer is the run while nobody watches it.

    Returns:
        Medians by workload.

    Raises:
        UserError: A peer is named.
    """
    if against:
        raise UserError("the observatory is measured against a run that nobody watches", field="--against")
    with tempfile.TemporaryDirectory(prefix="dunwu-watch-") as folder:
        found = {"watched": _watched(Path(folder))}
        return found | _large(Path(folder) / "large")


def _watched(folder: Path) -> dict[str, Any]:
    recipe, out = folder / "recipe.toml", folder / "run"
    recipe.write_text(RECIPE)
    turns: dict[bool, list[_Turn]] = {False: [], True: []}
    training = subprocess.Popen(_run(recipe, out), stdout=subprocess.DEVNULL)
    try:
        _wait_for(training, out, 2)
        with _started(out) as server, _client(server.address) as asking:
            for number in range(TURNS):
                if watched := number % 4 in (1, 2):
                    turns[watched].append(_turn(training, out))
                else:
                    with asking, server.stopped():
                        turns[watched].append(_turn(training, out))
    finally:
        training.terminate()
        training.wait()
    ours, alone = (median(turn.rate for turn in turns[watched]) for watched in (True, False))
    pairs = list(zip(turns[True], turns[False], strict=True))
    return {
        "ours": ours,
        "unit": "rollouts/s",
        "peers": {"unwatched": alone},
        "ratio": ours / alone,
        "ratio_95": _interval([watched.rate / other.rate for watched, other in pairs]),
        "waited": mean(turn.waited for turn in turns[True]),
        "waited_unwatched": mean(turn.waited for turn in turns[False]),
        "slowing_95": _interval([watched.waited - other.waited for watched, other in pairs]),
        "floor_share": None,
    }


class _Turn(NamedTuple):
    """Rollouts a second, and seconds of waiting for a processor a second."""

    rate: float
    waited: float


def _turn(training: subprocess.Popen[bytes], out: Path) -> _Turn:
    _wait_for(training, out, len(_timings(out)) + SETTLING)
    first, began, waited = len(_timings(out)), time.perf_counter(), _waited(training.pid)
    _wait_for(training, out, first + ROLLOUTS)
    share = (_waited(training.pid) - waited) / (time.perf_counter() - began)
    taken = [
        sum(value for name, value in row.items() if name != "step") for row in _timings(out)[first : first + ROLLOUTS]
    ]
    return _Turn(len(taken) / sum(taken), share)


def _waited(pid: int) -> float:
    """Seconds that a process's threads could have run and had no processor."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[1]) for thread in threads) / 1e9


def _interval(values: Sequence[float]) -> list[float]:
    """Return the 95 % interval of the mean."""
    half = 1.96 * stdev(values) / len(values) ** 0.5
    return [mean(values) - half, mean(values) + half]


def _run(recipe: Path, out: Path, *settings: str) -> list[str]:
    changed = [part for setting in settings for part in ("--set", setting)]
    return [*PROGRAM, "run", str(recipe), *changed, "--out", str(out), "--log", "quiet"]


def _timings(out: Path) -> list[dict[str, float]]:
    return RunReader(out).stage("zero").read_timings() if (out / "stages" / "zero").is_dir() else []


def _wait_for(training: subprocess.Popen[bytes], out: Path, rows: int) -> None:
    while len(_timings(out)) < rows if (out / "manifest.json").exists() else True:
        if training.poll() is not None:
            raise Fault(f"the run that was to be watched ended with exit code {training.returncode}")
        time.sleep(0.2)


@contextmanager
def _client(address: str) -> Iterator[threading.Lock]:
    """Ask as a page does: for the token, and where it has changed for the curves, as often as a page may.

    Yields:
        A lock; while somebody else holds it, nothing is asked.
    """
    asking, over = threading.Lock(), threading.Event()

    def follow() -> None:
        last, not_before = "", 0.0
        while not over.wait(POLL_SECONDS):
            with asking:
                token, began = json.loads(_get(f"{address}/runs/0/change-token"))["change_token"], time.perf_counter()
                if token != last and began >= not_before:
                    _get(f"{address}/runs/0/curves?stage=zero")
                    now = time.perf_counter()
                    last, not_before = token, now + (now - began) / SHARE

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield asking
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class _Server:
    address: str
    pid: int

    @property
    def memory(self) -> dict[str, float]:
        """How many MiB it holds, and how many of them are pages of files."""
        sizes = dict(re.findall(r"(VmRSS|RssFile):\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text()))
        return {"resident_mib": int(sizes["VmRSS"]) / 1024, "of_files_mib": int(sizes["RssFile"]) / 1024}

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server and its reader until the block ends."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/children")
        pids = [self.pid, *(int(child) for thread in threads for child in thread.read_text().split())]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def _started(directory: Path) -> Iterator[_Server]:
    command = [*PROGRAM, "watch", str(directory), "--no-open", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield _Server(process.stdout.readline().split()[2].rstrip(";"), process.pid)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def _large(directory: Path) -> dict[str, dict[str, Any]]:
    """Measure on a million rollouts: some that were really sampled, over and over under other steps."""
    _make_large(directory)
    with _started(directory) as server:
        began = time.perf_counter()
        _get(f"{server.address}/runs/0")
        first_page = time.perf_counter() - began
        rollouts = f"{server.address}/runs/0/rollouts?stage=zero"
        while 'role="status"' in _get(rollouts):
            time.sleep(0.5)
        taken = [_seconds(f"{rollouts}&{query}") for query in QUERIES for _ in range(REPEATS)]
        overview = [_seconds(f"{server.address}/runs/0") for _ in range(REPEATS)]
        memory = server.memory
    common: dict[str, Any] = {"peers": {}, "ratio": None, "floor_share": None, **memory}
    return {
        "filter": {
            "ours": 1 / median(taken),
            "unit": "filters/s",
            "slowest_ms": 1000 * max(taken),
            **common,
        },
        "overview": {
            "ours": 1 / median(overview),
            "unit": "pages/s",
            "first_ms": 1000 * first_page,
            **common,
        },
    }


def _seconds(address: str) -> float:
    began = time.perf_counter()
    _get(address)
    return time.perf_counter() - began


def _make_large(directory: Path) -> None:
    source = directory.with_name("sampled")
    recipe = directory.with_name("sampled.toml")
    recipe.write_text(RECIPE.replace("questions = 32", f"questions = {QUESTIONS}"))
    steps = 4 * DISTINCT
    subprocess.run(_run(recipe, source, f"stages.zero.steps={steps}"), stdout=subprocess.DEVNULL, check=True)
    sampled = RunReader(source).stage("zero")
    tables = [
        sampled.derived.make_table(step, facts.FACTS_VERSION, facts.extract_facts)
        for step in sampled.list_rollout_steps()
    ]
    reader = RunReader(source)
    text, versions = reader.read_recipe_text(), reader.manifest["versions"]
    with RunWriter.create(directory, recipe_text=text, recipe_json=reader.recipe, seed=1, versions=versions) as run:
        stage = run.stage("zero")
        for number in range(STEPS):
            step, like = 4 * (number + 1), number * DISTINCT // STEPS
            stage.append(step, {"reward": 1.0, "entropy": 0.3}, {"rollout": 1.0})
            target = stage.path / "rollouts" / f"step-{step:06d}.parquet"
            shutil.copy2(sampled.path / "rollouts" / f"step-{4 * (like + 1):06d}.parquet", target)
            table = tables[like]
            for column, value in (("step", step), ("version", step - 4)):
                place = table.schema.get_field_index(column)
                filled = pa.array(np.full(len(table), value, dtype=np.int32))
                table = table.set_column(place, column, filled)
            stage.derived.write_table(step, table, stage.derived.get_source(step, facts.FACTS_VERSION))
