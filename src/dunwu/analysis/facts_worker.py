"""Extract the facts of rollouts as they come, in a process that takes what training leaves of the processor.

``dunwu run`` starts one, so that its report and the first look of ``dunwu watch`` find them, and so does ``dunwu
watch``. A thread of the lowest priority would hold the interpreter's lock while it waits for the processor, and all
others with it. The facts lie in DIR/derived. The worker ends when whoever started it has ended.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dunwu.analysis import curves
from dunwu.analysis.extraction import is_over
from dunwu.analysis.reasoning.facts import FACTS_VERSION, extract_facts
from dunwu.errors import UserError
from dunwu.runs import RunReader, StageReader

LOWEST_PRIORITY = 19
IDLE_SECONDS = 1.0
"""Between looks at runs in which there was nothing new."""
PATIENCE_SECONDS = 60.0
BATCH = 20
"""Steps of one stage that are read before another has its turn."""

log = logging.getLogger(__name__)


def start_worker(directories: Sequence[Path], stderr: int | None = None) -> subprocess.Popen[bytes]:
    """Start a worker for these runs, which ends when its standard input does.

    Args:
        directories: The runs.
        stderr: Where what goes wrong is written to, as ``subprocess`` takes it; None: to this process's.
    """
    command = [sys.executable, "-m", "dunwu.analysis.facts_worker", *map(str, directories)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr)


def stop_worker(worker: subprocess.Popen[bytes]) -> None:
    """Stop a worker, whatever it is doing; on a busy machine it may take long to be given its turn to end."""
    assert worker.stdin is not None
    worker.stdin.close()
    worker.kill()


@contextmanager
def extract_meanwhile(directory: Path) -> Iterator[None]:
    """Have a worker extract the facts of a run that is being made, until the block ends.

    It begins once there are rollouts, and not in the first ``PATIENCE_SECONDS``: what is over by then has little to
    extract. What it cannot read, the report names.
    """
    ended, workers = threading.Event(), list[subprocess.Popen[bytes]]()

    def start() -> None:
        while not ended.wait(PATIENCE_SECONDS):
            if has_rollouts(directory):
                workers.append(start_worker([directory], subprocess.DEVNULL))
                return

    thread = threading.Thread(target=start, name="facts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for worker in workers:
            stop_worker(worker)


def has_rollouts(directory: Path) -> bool:
    """Return whether a run has stored rollouts; a run that cannot be read has none."""
    with suppress(UserError, OSError):
        run = RunReader(directory)
        return any(run.stage(name).list_rollout_steps() for name in run.stages)
    return False


def main(directories: Sequence[Path]) -> None:
    """Extract facts until nobody is left to read them."""
    with suppress(OSError):
        os.nice(LOWEST_PRIORITY)
        if sys.platform == "linux":  # nothing but what would lie idle
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    known: dict[tuple[Path, int], bytes] = {}
    logged: dict[Path, str] = {}
    while True:
        busy = False
        for directory in directories:
            try:
                run = RunReader(directory)
                for stage in run.stages:
                    busy = extract_some(run.stage(stage), known) or busy
            except (UserError, OSError) as error:
                if logged.get(directory) != str(error):
                    log.warning("%s", error)
                logged[directory] = str(error)
        if is_over(0.0 if busy else IDLE_SECONDS):
            return


def extract_some(stage: StageReader, known: dict[tuple[Path, int], bytes]) -> bool:
    """Extract the facts of at most ``BATCH`` steps whose files are new or have changed.

    Of a file from which nothing can be made it is kept why (``Derived.write_error``), and it is not tried again until
    it changes.

    Args:
        stage: The stage.
        known: For each stage's folder and step, of which bytes the facts have been extracted; it is added to.

    Returns:
        Whether there were any.
    """
    done = 0
    for step in choose_order(stage.list_rollout_steps()):
        with suppress(OSError):
            source = stage.derived.get_source(step, FACTS_VERSION)
            if known.get((stage.path, step)) != source:
                known[stage.path, step] = source
                done += 1
                _extract(stage, step)
        if done == BATCH:
            break
    return done > 0


def _extract(stage: StageReader, step: int) -> None:
    try:
        stage.derived.make_table(step, FACTS_VERSION, extract_facts)
    except UserError as error:
        line = str(error) if error.file else f"step {step:,}: {error}"
        stage.derived.write_error(step, FACTS_VERSION, line)
    except Exception as error:  # whatever stands in the file: the next one may be read
        stage.derived.write_error(step, FACTS_VERSION, f"step {step:,}: {type(error).__name__}: {error}")


def choose_order(steps: Sequence[int]) -> list[int]:
    """Order steps: evenly spaced ones first, so that curves soon reach over the whole run; then the newest."""
    return list(dict.fromkeys([*curves.space_evenly(steps, curves.FEWEST), *reversed(steps)]))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main([Path(name) for name in sys.argv[1:]])
