"""Parts of the reward that a user wrote: one function in a file that the recipe names, run in processes of their own.

    def score(problem: dunwu.types.Problem, text: str) -> float

``text`` is the completion. The function must be pure: what it returns may depend on nothing but its arguments, because
it is called from several processes, in any order, and again after a process was lost.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict

from dunwu.config.schema import OwnPart
from dunwu.errors import UserError
from dunwu.types import Completion, Problem
from dunwu.verifiers.process import LineProcess, ProcessPool

STARTUP_SECONDS = 120.0


class OwnParts:
    """``workers`` processes at most, each of which has loaded every file.

    Raises:
        UserError: a file cannot be loaded, or has no such function.
    """

    def __init__(self, specs: Sequence[OwnPart], workers: int) -> None:
        self._specs = {spec.name: (index, spec) for index, spec in enumerate(specs)}
        self._pool = ProcessPool(self._started, workers)
        if specs:
            self._pool.use(lambda process: None, "")  # what is wrong with a file shows before anything is scored

    def score(self, name: str, problem: Problem, completion: Completion) -> float:
        """What the function of part ``name`` returns.

        Raises:
            UserError: it raises, or returns no finite number.
            WorkerLost: its process died or took longer than the part's time, twice.
        """
        index, spec = self._specs[name]
        request = {"part": index, "problem": asdict(problem), "text": completion.text}
        reply = self._pool.use(
            lambda process: process.ask(request, spec.timeout_seconds),
            f"{spec.function} of {spec.file} died or took longer than {spec.timeout_seconds} s, twice",
        )
        value = reply.get("value")
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            what = reply.get("error") or f"returned {value!r}, no finite number"
            raise UserError(f"{spec.function} {what} on problem {problem.id}", file=spec.file)
        return float(value)

    def close(self) -> None:
        """Waits for requests under way, then ends every process."""
        self._pool.close()

    def _started(self) -> LineProcess:
        specs = [spec for _, spec in self._specs.values()]
        process = LineProcess([sys.executable, "-m", "dunwu.verifiers.own_worker"])
        try:
            problems = process.ask([[str(spec.file), spec.function] for spec in specs], STARTUP_SECONDS)
        except EOFError:
            process.kill()
            raise UserError("its process does not start, or ends while it loads", file=specs[0].file) from None
        for spec, problem in zip(specs, problems, strict=True):
            if problem:
                process.kill()
                raise UserError(problem, file=spec.file)
        return process
