"""Parts of the reward that a user wrote: one function in a file that the recipe names, run in processes of their own.

    def score(problem: dunwu.types.Problem, text: str) -> float

``text`` is the completion. The function must be pure: what it returns may depend on nothing but its arguments, because
it is called from several processes, in any order, and again after a process was lost. What it prints stands on stderr.
Its time is that of ``clock``: of the processor, and asleep, but not waiting for a processor.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dunwu.config.schema import CustomReward
from dunwu.errors import UserError
from dunwu.types import Completion, Problem
from dunwu.verifiers.process import LineProcess, ProcessPool

STARTUP_SECONDS = 120.0
LARGEST = 1e6
"""Of what a part may be; its square still is a number in single precision."""


class OwnParts:
    """``workers`` processes at most, each of which has loaded every file.

    Raises:
        UserError: a file cannot be loaded, or has no such function.
    """

    def __init__(self, specs: Sequence[CustomReward], workers: int) -> None:
        self._specs = {spec.name: (index, spec) for index, spec in enumerate(specs)}
        self._pool: ProcessPool[_Scorer] = ProcessPool(self._started, workers)
        if specs:
            # What is wrong with a file shows before anything is scored.
            self._pool.use(lambda process: None, "the process of the reward's own parts was killed twice as it started")

    def score(self, name: str, problem: Problem, completion: Completion) -> float:
        """What the function of part ``name`` returns.

        Raises:
            UserError: it raises, or returns no number that can be a reward.
            WorkerLost: its process died or took longer than the part's time, twice.
        """
        index, spec = self._specs[name]
        request = {"part": index, "problem": asdict(problem), "text": completion.text, "budget": spec.timeout_seconds}
        reply = self._pool.use(
            lambda process: process.ask(request, spec.timeout_seconds),
            f"{spec.function} of {spec.file} died or took longer than {spec.timeout_seconds} s, twice",
        )
        value = reply.get("value")
        if not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
            what = reply.get("error") or f"returned {value!r:.40}, no number from -{LARGEST:g} to {LARGEST:g}"
            text = f"{spec.file}: {spec.function} {what} on problem {problem.id}"
            raise UserError(text, field=f"reward.custom.{index}.function")
        return float(value)

    def close(self) -> None:
        """Ends every process."""
        self._pool.close()

    def _started(self) -> _Scorer:
        specs = [spec for _, spec in self._specs.values()]
        process = _Scorer([sys.executable, "-P", "-m", "dunwu.verifiers.user.custom_worker"], quiet=False)
        try:
            problems = process.ask([[str(spec.file), spec.function] for spec in specs], STARTUP_SECONDS)
        except EOFError:
            killed = process.process.poll() == -signal.SIGKILL  # from outside: worth another try
            process.kill()
            if killed:
                raise
            text = f"{specs[0].file}: its process does not start, or ends while it loads"
            raise UserError(text, field="reward.custom.0.file") from None
        for index, (spec, problem) in enumerate(zip(specs, problems, strict=True)):
            if problem:
                process.kill()
                raise UserError(f"{spec.file}: {problem}", field=f"reward.custom.{index}.file")
        return process


class _Scorer(LineProcess):
    """Whose replies bear their requests' numbers: what a user's function writes, or a fork of it, is no reply."""

    _asked = 0

    def ask(self, request: object, seconds: float) -> Any:
        """See ``LineProcess``; EOFError also for a reply to something else."""
        self._asked += 1
        reply = super().ask([self._asked, request], seconds)
        if not isinstance(reply, list) or len(reply) != 2 or reply[0] != self._asked:
            raise EOFError
        return reply[1]
