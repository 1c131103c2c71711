"""Worker processes that can always be killed.

    score() threads --> free workers (queue) --> sympy_worker.py over two pipes
                                                 |- its fork ends when a request used its processor time; it says so
                                                 |  and has the next fork ready
                                                 `- found dead, or silent for longer by its own time (stopped,
                                                    asleep) and killed: once more, to a fresh worker

A worker that waits for a processor is late and not silent, however long. One starts on its first request; the time
until it says that it is ready belongs to no request. It never imports the parent's modules, and ends when its pipe
closes, so that it does not outlive the parent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from dunwu.errors import Fault
from dunwu.verifiers.process import STARTUP_SECONDS, LineProcess, ProcessPool

PROGRAM = Path(__file__).with_name("sympy_worker.py")
PATIENCE = 5.0
"""Seconds of its own time (``own_time``) that a worker may take for each second of a request's budget. Its fork ends at
the budget by itself: one that takes longer is stopped or broken."""
SECONDS_USED: ContextVar[list[float] | None] = ContextVar("seconds_used", default=None)
"""Seconds that each request took since ``share_budget`` was entered."""


class CheckTimeout(Exception):  # noqa: N818  -- a verdict
    """The comparison used up its processor time."""


@contextmanager
def share_budget() -> Iterator[None]:
    """Share one budget between all that is asked inside, from this thread: many slow pieces cost no more than one."""
    token = SECONDS_USED.set([])
    try:
        yield
    finally:
        SECONDS_USED.reset(token)


class _Worker(LineProcess):
    """A math worker, started at construction, not yet waited for."""

    def __init__(self) -> None:
        super().__init__([sys.executable, "-P", str(PROGRAM)])
        self._ready = False

    def compare(self, gold: str, answer: str, budget: float, patience: float) -> tuple[bool | None, float]:
        """Compare two answers.

        Args:
            gold: A tree, or a relation, as ``dump`` writes it.
            answer: Another.
            budget: Seconds of processor time until the comparison is cut.
            patience: Seconds of its own time until the process is silent.

        Returns:
            The verdict, None where it was cut, and the seconds it took.

        Raises:
            EOFError: The process is dead, dies of something else, or is silent. Its fork did not end at the budget, so
                that is the machine's fault and not the answer's.
        """
        if not self._ready:
            self._await_ready()
        equal, seconds = self.ask({"gold": gold, "answer": answer, "budget": budget}, patience)
        return equal, seconds

    def _await_ready(self) -> None:
        try:
            self.read_line(STARTUP_SECONDS)
        except EOFError:
            code = self.process.poll()
            if code is None:
                raise Fault(f"the math worker is not ready after {STARTUP_SECONDS:.0f} s") from None
            if code < 0:  # killed from outside: worth another try
                raise
            raise Fault(f"the math worker does not start (exit code {code}); is sympy installed?") from None
        self._ready = True


class WorkerPool:
    """Places for math workers; any number of threads may ask.

    Args:
        workers: Processes at most.
        budget: Seconds of processor time for one request, or for all that share a budget.
    """

    def __init__(self, workers: int, budget: float) -> None:
        self._budget = budget
        self._pool = ProcessPool(_Worker, workers)

    def ask(self, gold: str, answer: str) -> bool:
        """Return whether two trees, or two relations, mean the same.

        Args:
            gold: As ``dump`` writes it.
            answer: As ``dump`` writes it.

        Raises:
            CheckTimeout: The budget is used up.
            WorkerLost: The worker died or was silent twice.
            Fault: Workers cannot start at all.
            ValueError: The pool is closed.
        """
        used = SECONDS_USED.get()
        budget = self._budget - sum(used or ())
        if budget <= 0:
            raise CheckTimeout
        equal, seconds = self._pool.use(
            lambda worker: worker.compare(gold, answer, budget, self._budget * PATIENCE),
            "the math worker died or fell silent twice over this answer",
        )
        if used is not None:
            used.append(budget if equal is None else seconds)
        if equal is None:
            raise CheckTimeout
        return equal

    def close(self) -> None:
        """End every process, those at work too."""
        self._pool.close()
