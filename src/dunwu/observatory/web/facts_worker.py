"""Extract the facts of rollouts for ``dunwu watch``, in a process that takes what training leaves of the processor.

A thread of the lowest priority would hold the interpreter's lock while it waits for the processor, and pages with it.
The facts lie in DIR/derived, from where the pages take them. The worker ends when whoever started it has ended.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dunwu.analysis import curves
from dunwu.analysis.reasoning.facts import FACTS_VERSION, extract_facts
from dunwu.errors import UserError
from dunwu.runs import RunReader, StageReader

LOWEST_PRIORITY = 19
IDLE_SECONDS = 1.0
"""Between looks at runs in which there was nothing new."""
BATCH = 20
"""Steps of one stage that are read before another has its turn."""

log = logging.getLogger(__name__)


def start_worker(directories: Sequence[Path]) -> subprocess.Popen[bytes]:
    """Start a worker for these runs, which ends when its standard input does."""
    command = [sys.executable, "-m", "dunwu.observatory.web.facts_worker", *map(str, directories)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


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
        if _is_over(0.0 if busy else IDLE_SECONDS):
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


def _is_over(seconds: float) -> bool:
    """Wait so long for standard input to end, and tell whether it has."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and not sys.stdin.buffer.read1(1)  # type: ignore[union-attr]


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main([Path(name) for name in sys.argv[1:]])
