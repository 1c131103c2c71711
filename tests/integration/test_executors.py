"""A run is the same whoever executes it, and whoever dies on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.integration.runs import exit_code, fingerprints, start, survive, write_recipe

WORKER = "dunwu.workers.child"
AHEAD = 2
"""Rollouts after which everything is learnt from that was made before."""
WHERE = {"recipe.json", "README.md"}
"""What says where a run worked."""


def overrides(executor: str, staleness: int, workers: int = 1) -> tuple[str, ...]:
    chosen = (f"executor={executor}", f"stages.zero.rollout.max_staleness={staleness}")
    return chosen if executor == "inline" else (*chosen, f"stages.zero.workers.rollout={workers}")


def run(recipe: Path, out: Path, *settings: str) -> dict[str, str]:
    """The fingerprints of what an undisturbed run leaves."""
    process = start(recipe, out, settings)
    process.join()
    assert exit_code(process) == 0
    return what_was_made(out)


def what_was_made(out: Path) -> dict[str, str]:
    return {name: digest for name, digest in fingerprints(out).items() if Path(name).name not in WHERE}


def workers_of(pid: int) -> list[psutil.Process]:
    """The workers that a run has now."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if WORKER in child.cmdline():
                found.append(child)
        except psutil.Error:  # it has ended since
            continue
    return found


@contextmanager
def disturbed(pid: int, out: Path, kills: int, stops: int, seed: int) -> Iterator[list[signal.Signals]]:
    """Signals to random workers of a run while the block goes on, at random moments with some rollouts between two,
    since workers that are lost in a row end a run; yields those that were sent."""
    rng, over, sent = random.Random(seed), threading.Event(), list[signal.Signals]()
    wanted = [signal.SIGKILL] * kills + [signal.SIGSTOP] * stops
    rng.shuffle(wanted)
    metrics = out / "stages" / "zero" / "metrics.jsonl"

    def disturb() -> None:
        rollouts = -AHEAD
        while wanted and not over.wait(rng.uniform(0.0, 0.5)):
            done = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
            if done >= rollouts + AHEAD and (found := workers_of(pid)):
                os.kill(rng.choice(found).pid, wanted[-1])
                sent.append(wanted.pop())
                rollouts = done

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("staleness", [0, 1, 2])
def test_a_run_over_processes_equals_one_in_this_process(tmp_path: Path, staleness: int) -> None:
    recipe = write_recipe(tmp_path)
    inline = run(recipe, tmp_path / "inline", *overrides("inline", staleness))
    assert any(name.endswith("model.safetensors") for name in inline)
    assert run(recipe, tmp_path / "processes", *overrides("processes", staleness, 2)) == inline


@pytest.mark.parametrize(
    ("kills", "stops"), [pytest.param(3, 1, id="few"), pytest.param(20, 5, id="many", marks=pytest.mark.slow)]
)
def test_lost_workers_change_nothing(tmp_path: Path, kills: int, stops: int) -> None:
    recipe = write_recipe(tmp_path)
    settings = (f"stages.zero.steps={16 * (kills + stops)}", "stages.zero.evaluation.every=0")
    undisturbed = run(recipe, tmp_path / "undisturbed", *overrides("processes", 1, 2), *settings)
    process = start(recipe, tmp_path / "disturbed", (*overrides("processes", 1, 2), *settings))
    assert process.pid is not None
    with disturbed(process.pid, tmp_path / "disturbed", kills, stops, seed=kills) as sent:
        process.join()
    assert exit_code(process) == 0
    assert len(sent) > 1, "the run ended before anybody was disturbed"
    assert what_was_made(tmp_path / "disturbed") == undisturbed


@pytest.mark.parametrize("staleness", [2])
def test_a_killed_run_leaves_no_worker_and_goes_on_as_it_was(tmp_path: Path, staleness: int) -> None:
    recipe = write_recipe(tmp_path)
    settings = overrides("processes", staleness)
    resumed = survive(recipe, tmp_path, 3, seed=staleness, overrides=settings)
    assert what_was_made(resumed) == what_was_made(tmp_path / "timed")
    mine = str(os.getpid())
    left = [one for one in psutil.process_iter(["cmdline"]) if WORKER in (one.info["cmdline"] or [])]
    assert [one for one in left if mine in [str(parent.pid) for parent in one.parents()]] == []


def test_sigterm_ends_a_run_that_waits_for_workers(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    out = tmp_path / "run"
    settings = (*overrides("processes", 1), "stages.zero.steps=2000", "stages.zero.checkpoint.every=2000")
    process = start(recipe, out, settings)
    metrics = out / "stages" / "zero" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 3:
        assert process.is_alive(), "the run ended before its third rollout"
        process.join(timeout=0.05)
    assert process.pid is not None
    workers = workers_of(process.pid)
    assert workers
    for worker in workers:  # so that the run waits for completions, which never come
        worker.suspend()
    os.kill(process.pid, signal.SIGTERM)
    process.join(timeout=15)
    assert exit_code(process) == 3
    assert psutil.wait_procs(workers, timeout=15)[1] == []


def test_ranks_train_as_one_process_does(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    run(recipe, tmp_path / "inline", *overrides("inline", 1))
    run(recipe, tmp_path / "ranks", *overrides("processes", 1), "stages.zero.workers.training=2")
    alone, ranked = (
        [json.loads(line) for line in (tmp_path / name / "stages/zero/metrics.jsonl").read_text().splitlines()]
        for name in ("inline", "ranks")
    )
    assert [row["step"] for row in ranked] == [2, 4, 6, 8]
    for own, known in zip(ranked, alone, strict=True):
        assert own["reward"] == known["reward"]
        assert own["grad_norm"] == pytest.approx(known["grad_norm"], rel=1e-3)
        assert own.keys() == known.keys()
        assert own["correction_max"] == pytest.approx(known["correction_max"], rel=1e-4)
        assert own["entropy"] == pytest.approx(known["entropy"], rel=1e-4)


@pytest.fixture
def ray() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'dunwu[ray]'")


def test_a_run_on_a_cluster_equals_one_in_this_process(tmp_path: Path, ray: None) -> None:
    recipe = write_recipe(tmp_path)
    inline = run(recipe, tmp_path / "inline", *overrides("inline", 1))
    assert run(recipe, tmp_path / "ray", *overrides("ray", 1, 2)) == inline


@pytest.mark.parametrize("kills", [pytest.param(1, id="once"), pytest.param(5, id="5-times", marks=pytest.mark.slow)])
def test_a_dead_head_leaves_a_run_that_goes_on(tmp_path: Path, ray: None, kills: int) -> None:
    """Ray ends the process that works; its parent says so, with the exit code of a run that can go on."""
    recipe, out = write_recipe(tmp_path), tmp_path / "run"
    settings = (*overrides("ray", 1), f"stages.zero.steps={200 * kills}", "stages.zero.evaluation.every=0")
    undisturbed = run(recipe, tmp_path / "undisturbed", *settings)
    metrics, command = out / "stages" / "zero" / "metrics.jsonl", [sys.executable, "-m", "dunwu", "run", str(recipe)]
    command += [part for setting in settings for part in ("--set", setting)] + ["--out", str(out), "--log", "quiet"]
    done, over = 0, threading.Event()
    for kill in range(kills + 1):
        resumed = ["--resume"] if kill else []
        process = subprocess.Popen([*command, *resumed], stderr=subprocess.PIPE, text=True)
        if kill < kills:
            heads: list[psutil.Process] = []
            while not heads or not metrics.exists() or metrics.read_bytes().count(b"\n") < done + 3:
                assert process.poll() is None, process.communicate()
                heads = heads or [
                    one for one in psutil.Process(process.pid).children(recursive=True) if one.name() == "gcs_server"
                ]
                over.wait(0.1)
            done = metrics.read_bytes().count(b"\n")
            heads[0].kill()
        _, said = process.communicate(timeout=300)
        assert process.returncode == (3 if kill < kills else 0)
        assert "resume with: " in said.splitlines()[-1] if kill < kills else said == ""
    assert what_was_made(out) == undisturbed
