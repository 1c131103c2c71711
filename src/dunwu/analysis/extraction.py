"""Extract the facts of many rollouts at once, on all cores: what a first report waits for.

Helpers are processes of this module. Each begins at another place of the steps and passes over what another has done;
what they extract lies in DIR/derived, from where whoever asked reads it. So a helper that dies costs time alone.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

from dunwu.analysis.reasoning.facts import FACTS_VERSION, extract_facts
from dunwu.errors import UserError
from dunwu.machine import usable_cores
from dunwu.runs import StageReader
from dunwu.runs.answer_tables import locate_rollouts

ENOUGH_BYTES = 2**19
"""Of stored rollouts, compressed, from which on another process is quicker than none: it takes half a second to begin,
in which one process extracts as much."""


def extract_missing(stage: StageReader, steps: Sequence[int]) -> None:
    """Extract and keep the facts that nobody has extracted yet, where more than one process is worth it.

    Args:
        stage: The stage.
        steps: The steps of its rollouts. One that cannot be read is passed over.
    """
    missing = [step for step in steps if stage.derived.read_table(step, FACTS_VERSION) is None]
    files = (locate_rollouts(stage.path, step) for step in missing)
    size = sum(file.stat().st_size for file in files if file.exists())
    helpers = min(usable_cores() - 1, size // ENOUGH_BYTES, len(missing) - 1)
    if helpers > 0 and stage.derived.can_write():
        with _start_helpers(stage, missing, helpers):
            _extract(stage, missing)


def _extract(stage: StageReader, steps: Iterable[int]) -> None:
    for step in steps:
        with suppress(UserError):
            stage.derived.make_table(step, FACTS_VERSION, extract_facts)


@contextmanager
def _start_helpers(stage: StageReader, steps: Sequence[int], count: int) -> Iterator[None]:
    """Have helpers extract until the block ends."""
    helpers = list[subprocess.Popen[str]]()
    try:
        for number in range(1, count + 1):
            start = number * len(steps) // (count + 1)
            task = {"stage": str(stage.path.absolute()), "steps": [*steps[start:], *steps[:start]]}
            helper = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, text=True)
            helpers.append(helper)
            assert helper.stdin is not None
            print(json.dumps(task), file=helper.stdin, flush=True)
        yield
    finally:
        for helper in helpers:
            with suppress(OSError):
                helper.communicate()


def is_over(seconds: float) -> bool:
    """Wait so long for standard input to end, and tell whether it has: then whoever started this process has."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and not sys.stdin.buffer.read1(1)  # type: ignore[union-attr]


def main() -> None:
    """Extract what the first line of standard input asks for, until it ends."""
    task = json.loads(sys.stdin.buffer.readline())
    _extract(StageReader(Path(task["stage"])), takewhile(lambda _: not is_over(0.0), task["steps"]))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
