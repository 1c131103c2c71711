"""What the integration tests share: a short RL recipe, and runs in processes that can be killed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Sequence
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from dunwu.cli.driver import drive

SHORT_RECIPE = """
name = "short"
seed = 5

[stages.zero]
kind = "rl"
from = "nano-base"
steps = 8
reference_every = 4
[[stages.zero.tasks]]
task = "countdown"
levels = [3]
languages = ["en", "zh"]
[stages.zero.prompt]
template = "nano"
max_tokens = 64
[stages.zero.rollout]
questions = 4
group_size = 4
max_new_tokens = 48
[stages.zero.optimizer]
lr = 3e-4
[stages.zero.update]
minibatches = 2
[stages.zero.checkpoint]
every = 2
[stages.zero.model]
threads = 1
[stages.zero.evaluation]
every = 4
during_problems = 4
during_samples = 1
[[stages.zero.evaluation.sets]]
name = "held-out"
task = { task = "countdown", levels = [3], languages = ["en", "zh"] }
problems = 6
samples = 2
"""


def write_recipe(folder: Path, text: str = SHORT_RECIPE) -> Path:
    """The recipe as a file."""
    path = folder / "short.toml"
    path.write_text(text)
    return path


def start(recipe: Path, out: Path, overrides: tuple[str, ...] = ()) -> ForkServerProcess:
    """Begins the run, or resumes it, in a process that is forked from one that has imported everything already.

    Exit codes are those of the command line.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["dunwu.cli.driver", "dunwu.pipeline.run", "dunwu.pipeline.stages.rl", "transformers.models.qwen3"]
    )
    process = context.Process(target=run_here, args=(recipe, out, overrides))
    process.start()
    return process


class ForkedDriver:
    """The child of a command, forked: it has imported all that its parent has. See ``subprocess.Popen``."""

    def __init__(self, channel: socket.socket, arguments: Sequence[str]) -> None:
        self._status: int | None = None
        self.pid = os.fork()
        if not self.pid:
            try:
                drive(channel.fileno(), "dunwu", arguments)
            except SystemExit as end:
                os._exit(int(end.code or 0))
            finally:
                os._exit(99)

    def poll(self) -> int | None:
        """See ``subprocess.Popen``."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def send_signal(self, number: int) -> None:
        """See ``subprocess.Popen``."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """See ``subprocess.Popen``."""
        self.send_signal(signal.SIGKILL)


def run_here(recipe: Path, out: Path, overrides: tuple[str, ...]) -> None:
    """Begins the run, or resumes it, and ends this process, whose child makes it."""
    from dunwu.cli import main, supervisor

    supervisor.start_driver = ForkedDriver  # type: ignore[assignment]
    arguments = ["run", str(recipe), "--out", str(out), *(part for text in overrides for part in ("--set", text))]
    main([*arguments, *(["--resume"] if (out / "manifest.json").exists() else [])])


def survive(recipe: Path, folder: Path, kills: int, seed: int, overrides: tuple[str, ...] = ()) -> Path:
    """A run that is killed so many times, each at a random moment of it, and resumed to its end; its directory.

    One that gets through before its kills is begun anew: they meet the next.
    """
    began = time.monotonic()
    process = start(recipe, folder / "timed", overrides)
    process.join()
    assert exit_code(process) == 0
    # Drawn over a whole run's length, so that every phase is met: loading, rollout, backward, saving, evaluation.
    duration, rng = time.monotonic() - began, random.Random(seed)
    outs = (folder / f"killed-{number}" for number in count())
    out, done = next(outs), 0
    while True:
        process = start(recipe, out, overrides)
        process.join(timeout=rng.uniform(0.0, duration) if done < kills else None)
        process.kill()
        process.join()
        if exit_code(process) == -signal.SIGKILL:
            done += 1
            continue
        assert exit_code(process) == 0
        if done == kills:
            return out
        out = next(outs)


def exit_code(process: ForkServerProcess) -> int | None:
    """As the command line gives it; minus the signal where one ended it; None while it runs."""
    return process.exitcode


def fingerprints(out: Path) -> dict[str, str]:
    """sha256 of every file that a run leaves, but those that hold wall-clock times or a process number. What readers
    have derived holds times of files, too."""
    timed = {"timings.jsonl", "ledger.jsonl", "timings.json", "summary.json", "report.html", "lock"}
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in timed and "derived" not in path.relative_to(out).parts
    }
