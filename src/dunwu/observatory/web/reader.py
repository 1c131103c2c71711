"""Reads rollouts for ``dunwu watch`` in a process of its own, with what the training leaves of the processor.

A thread of the lowest priority would hold the interpreter's lock while it waits for the processor, and pages with it.
What it reads off lies in DIR/derived, from where the pages take it. It ends when whoever started it has ended.
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
from dunwu.analysis.reasoning import facts
from dunwu.errors import UserError
from dunwu.runs import RunReader, StageReader

LOWEST_PRIORITY = 19
IDLE_SECONDS = 1.0
"""Between looks at runs in which there was nothing new."""
BATCH = 20
"""Steps of one stage that are read before another has its turn."""

log = logging.getLogger(__name__)


def start(directories: Sequence[Path]) -> subprocess.Popen[bytes]:
    """A reader of these runs, which ends when its standard input does."""
    command = [sys.executable, "-m", "dunwu.observatory.web.reader", *map(str, directories)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def main(directories: Sequence[Path]) -> None:
    """Reads until nobody is left to read for."""
    with suppress(OSError):
        os.nice(LOWEST_PRIORITY)
        if sys.platform == "linux":  # nothing but what would lie idle
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    known: dict[tuple[Path, int], bytes] = {}
    told: dict[Path, str] = {}
    while True:
        busy = False
        for directory in directories:
            try:
                run = RunReader(directory)
                for stage in run.stages:
                    busy = read_some(run.stage(stage), known) or busy
            except (UserError, OSError) as error:
                if told.get(directory) != str(error):
                    log.warning("%s", error)
                told[directory] = str(error)
        if _is_over(0.0 if busy else IDLE_SECONDS):
            return


def read_some(stage: StageReader, known: dict[tuple[Path, int], bytes]) -> bool:
    """Derives the facts of at most ``BATCH`` steps of which ``known`` lacks the present bytes; whether there were any.

    Of a file from which nothing can be made it is kept why (``Derived.trouble``), and it is not tried again
    until it changes.
    """
    done = 0
    for step in order(stage.rollout_steps()):
        with suppress(OSError):
            source = stage.derived.source_of(step, facts.FACTS_VERSION)
            if known.get((stage.path, step)) != source:
                known[stage.path, step] = source
                done += 1
                try:
                    stage.derived.make(step, facts.FACTS_VERSION, facts.extract_facts)
                except UserError as error:
                    stage.derived.keep_trouble(
                        step, facts.FACTS_VERSION, str(error) if error.file else f"step {step:,}: {error}"
                    )
                except Exception as error:  # whatever stands in the file: the next one may be read
                    stage.derived.keep_trouble(
                        step, facts.FACTS_VERSION, f"step {step:,}: {type(error).__name__}: {error}"
                    )
        if done == BATCH:
            break
    return done > 0


def order(steps: Sequence[int]) -> list[int]:
    """Evenly spaced ones first, so that the curves soon reach over the whole run; then the newest."""
    return list(dict.fromkeys([*curves.space_evenly(steps, curves.FEWEST), *reversed(steps)]))


def _is_over(seconds: float) -> bool:
    """Whether standard input has ended, after waiting for that so long."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and not sys.stdin.buffer.read1(1)  # type: ignore[union-attr]


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main([Path(name) for name in sys.argv[1:]])
