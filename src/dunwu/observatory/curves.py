"""Learning curves out of stored rollouts: what the policy did on its training problems."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dunwu.metrics import mean
from dunwu.observatory import reflection
from dunwu.runs import RolloutRow, StageReader
from dunwu.types import Estimate

MAX_ROWS = 60_000
"""Completions that are read for the curves; of a longer run, evenly spaced rollouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPoint:
    """One rollout. Estimates are means over its problems, with 95 % intervals (Student's t, n = ``problems``).

    ``updates`` is the version of the policy that wrote it, so the first point is the stage's beginning. None: there was
    nothing to measure (no right answer, so no length of right ones). ``words`` are counts per response.
    """

    updates: int
    problems: int
    completions: int
    failed: int
    reward: Estimate | None
    parts: Mapping[str, Estimate]
    length: Estimate | None
    length_right: Estimate | None
    length_wrong: Estimate | None
    truncated: Estimate | None
    reflections: Estimate | None
    words: Mapping[str, float]


def curves(stage: StageReader) -> list[RolloutPoint]:
    """The stage's rollouts in order; evenly spaced ones, with the first and the last, where there are too many."""
    steps = stage.rollout_steps()
    if not steps:
        return []
    first = stage.read_rollouts(steps[0])
    wanted = max(2, MAX_ROWS // max(len(first), 1))
    if len(steps) > wanted:
        steps = [steps[round(place)] for place in np.linspace(0, len(steps) - 1, wanted)]
    return [measure(stage.read_rollouts(step)) for step in steps]


def measure(rows: Sequence[RolloutRow]) -> RolloutPoint:
    """One rollout's point. Completions whose verifier failed count in lengths and words, never in rewards."""
    graded = [row for row in rows if row.status != "verifier_failed"]
    words: Counter[str] = Counter()
    for row in rows:
        words.update(reflection.count(row.completion))
    return RolloutPoint(
        updates=min(row.policy_version for row in rows),
        problems=len({row.group for row in rows}),
        completions=len(rows),
        failed=len(rows) - len(graded),
        reward=_mean(graded, lambda row: row.value),
        parts=_parts(graded),
        length=_amount(rows, lambda row: row.tokens),
        length_right=_amount([row for row in graded if is_right(row)], lambda row: row.tokens),
        length_wrong=_amount(
            [row for row in graded if can_be_right(row) and not is_right(row)], lambda row: row.tokens
        ),
        truncated=_amount(rows, lambda row: row.finish == "length"),
        reflections=_amount(rows, lambda row: reflection.total(row.completion)),
        words={word: number / len(rows) for word, number in words.items()},
    )


def can_be_right(row: RolloutRow) -> bool:
    """Whether the question has answers that are right."""
    return "accuracy" in row.parts


def is_right(row: RolloutRow) -> bool:
    """Whether the answer was right, whatever its form earned."""
    return row.parts.get("accuracy") == 1.0


def _parts(rows: Sequence[RolloutRow]) -> dict[str, Estimate]:
    """The mean of each part of the reward over the rows that have it."""
    means = {
        name: _mean([row for row in rows if name in row.parts], partial(_part, name))
        for name in sorted({name for row in rows for name in row.parts})
    }
    return {name: estimate for name, estimate in means.items() if estimate is not None}


def _part(name: str, row: RolloutRow) -> float:
    return row.parts[name]


def _amount(rows: Sequence[RolloutRow], measured: Callable[[RolloutRow], float]) -> Estimate | None:
    """As :func:`_mean`, of what is never negative: neither is its interval."""
    return _mean(rows, measured, lowest=0.0)


def _mean(
    rows: Sequence[RolloutRow], measured: Callable[[RolloutRow], float], lowest: float = -math.inf
) -> Estimate | None:
    """Mean over problems of the mean over a problem's completions, with its interval; None without rows."""
    by_group: dict[int, list[float]] = {}
    for row in rows:
        by_group.setdefault(row.group, []).append(float(measured(row)))
    means = [float(np.mean(values)) for values in by_group.values()]
    return mean(means, lowest=lowest) if means else None
