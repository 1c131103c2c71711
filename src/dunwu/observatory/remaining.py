"""How long a run still takes: the rollouts of this stage, its evaluations, and the stages after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

RECENT = 5
"""Rows whose mean duration the time left is computed from."""


def nothing_to_answer(step: int) -> int:
    """Count the answers of a stage without evaluations."""
    return 0


class TimeLeft:
    """Computes a run's time left from its own pace; later stages by what they are planned to take beside this one.

    It reads no clock: ``now`` is in seconds, of any monotonic one.
    """

    def __init__(self) -> None:
        self._planned: Mapping[str, float | None] = {}
        self._answers_after: Callable[[int], int] = nothing_to_answer
        self._stage = ""
        self._step, self._last_row = 0, 0.0
        self._paces: deque[float] = deque(maxlen=RECENT)
        self._evaluating_since: float | None = None
        self._answers, self._largest = 0, 0
        self._per_token = 0.0
        self._per_planned: float | None = None
        self.at_least = False
        """Whether a stage is left of which nothing is known."""

    def plan(self, planned: Mapping[str, float | None]) -> None:
        """Take in what each stage is planned to take, in seconds, in the order of the run; None: not known."""
        self._planned = planned

    def begin(self, stage: str, step: int, now: float, answers_after: Callable[[int], int]) -> None:
        """Begin a stage at ``step``; ``answers_after(step)``: answers that its evaluations still take from there."""
        self._stage, self._step, self._last_row = stage, step, now
        self._answers_after = answers_after
        self._paces.clear()

    def evaluation_started(self, answers: int, now: float) -> None:
        """Begin an evaluation of so many answers: no part of a row's pace."""
        self._evaluating_since, self._answers = now, answers

    def evaluation_ended(self, now: float, length: float = 1.0) -> None:
        """End it; ``length``: of its answers on average, in tokens. The pace of the largest one so far is the next
        one's: small ones leave the engine half empty."""
        if self._evaluating_since is None:
            return
        seconds = now - self._evaluating_since
        self._last_row += seconds
        self._evaluating_since = None
        if self._answers >= self._largest:
            self._largest = self._answers
            self._per_token = seconds / (max(self._answers, 1) * max(length, 1.0))

    def row(self, step: int, steps: int, now: float, *, responses: float = 0.0, length: float = 1.0) -> float:
        """Compute the seconds left after a row.

        Args:
            step: Updates done.
            steps: Updates of the stage.
            now: When the row ended.
            responses: Answers that the row was made of, from which evaluations are estimated before the first one.
            length: Of these answers on average, in tokens.
        """
        self._paces.append((now - self._last_row) / max(step - self._step, 1))
        made = step - self._step
        self._step, self._last_row = step, now
        pace = sum(self._paces) / len(self._paces)
        per_answer = self._per_token * max(length, 1.0) or (pace * made / responses if responses else 0.0)
        own = (steps - step) * pace + self._answers_after(step) * per_answer
        planned = self._planned.get(self._stage)
        if planned and step < steps:
            self._per_planned = own / (planned * (steps - step) / steps)
        return own + self._later()

    def _later(self) -> float:
        """The stages after this one, at this one's pace beside its plan."""
        names = list(self._planned)
        later = names[names.index(self._stage) + 1 :] if self._stage in names else []
        known = [seconds for name in later if (seconds := self._planned[name]) is not None]
        self.at_least = bool(later) and (len(known) < len(later) or self._per_planned is None)
        return sum(known) * (self._per_planned or 0.0)
