"""Candidate aha moments: series that change at the same time, among them one of reflection that rises.

R1-Zero's observation (arXiv 2501.12948v2, on its aha moment) becomes a statement that can fail: at some rollout the
policy begins to reflect more. A moment says whether that was a jump or a climb over many rollouts. Every series is
tested at LEVEL divided by the number of series. So a stage in which nothing changes has a moment with a probability of
at most LEVEL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dunwu.analysis.change_points import Change, find_changes
from dunwu.analysis.curves import ACCURACY, LENGTH, MENDED, RATE, REFLECTIONS, SHOWN, STEPS, Measure, Rollout

LEVEL = 0.05
"""The probability of a false alarm in a stage, over all of its series together."""
FEWEST = 12
"""Rollouts below which nothing can be concluded: even a clean step in the middle of ten comes by chance in 2 of 252
orders, more often than LEVEL allows one series of ten."""
REFLECTIVE = (REFLECTIONS, RATE, SHOWN["verification"], SHOWN["backtracking"], SHOWN["alternatives"])
"""Series of which one must rise for a moment to be one of reflection."""
STRATEGY = (*SHOWN.values(), STEPS, LENGTH)
OUTCOME = (ACCURACY, MENDED)
WATCHED = tuple(dict.fromkeys((*REFLECTIVE, *STRATEGY, *OUTCOME)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A change of one series, and the updates between which it happens."""

    measure: Measure
    change: Change
    updates: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A rise of reflection, ``lead``, and what changed while it lasted, the largest change first."""

    lead: Evidence
    others: tuple[Evidence, ...]

    @property
    def is_sudden(self) -> bool:
        """Whether it is a jump."""
        return self.lead.change.kind == "jump"

    @property
    def updates(self) -> tuple[int, int]:
        """When reflection rose."""
        return self.lead.updates

    @property
    def strategy(self) -> tuple[Evidence, ...]:
        """What changed in how problems are gone about."""
        return tuple(one for one in self.others if one.measure in STRATEGY)

    @property
    def outcome(self) -> tuple[Evidence, ...]:
        """What changed in what comes out."""
        return tuple(one for one in self.others if one.measure in OUTCOME)


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentSearch:
    """What was looked at, and what was found.

    Attributes:
        rollouts: How many rollouts were looked at.
        series: How many series were tested; 0 where there are too few rollouts.
        changes: All changes, in the order of the series.
        moments: The candidates, in the order of training.
    """

    rollouts: int
    series: int
    changes: tuple[Evidence, ...]
    moments: tuple[Moment, ...]


def find_moments(rollouts: Sequence[Rollout]) -> MomentSearch:
    """Look for candidate moments.

    Args:
        rollouts: The rollouts of a stage, in order.

    Returns:
        What was found, the same for the same rollouts.
    """
    if len(rollouts) < FEWEST:
        return MomentSearch(rollouts=len(rollouts), series=0, changes=(), moments=())
    series = {measure: values for measure in WATCHED if (values := _measure(measure, rollouts))}
    found = tuple(
        Evidence(measure=measure, change=change, updates=_locate(list(values), change))
        for measure, values in series.items()
        for change in find_changes(list(values.values()), level=LEVEL / len(series))
    )
    return MomentSearch(rollouts=len(rollouts), series=len(series), changes=found, moments=tuple(group_moments(found)))


def _measure(measure: Measure, rollouts: Sequence[Rollout]) -> dict[int, float]:
    """Estimate a measure by updates; nothing where that is possible too seldom to say anything."""
    found = {rollout.updates: estimate.value for rollout in rollouts if (estimate := rollout.estimate(measure))}
    return found if len(found) >= FEWEST else {}


def _locate(updates: Sequence[int], change: Change) -> tuple[int, int]:
    first = change.first - 1 if change.kind == "jump" else change.first
    return updates[first], updates[change.last]


def group_moments(found: Sequence[Evidence]) -> list[Moment]:
    """Group changes into moments.

    Args:
        found: The changes of all series.

    Returns:
        The largest rise of reflection with all that changes in its time, then the largest of those that remain, and so
        on; in the order of training.
    """
    moments, remaining = list[Moment](), sorted(found, key=lambda one: -abs(one.change.size))
    while lead := next((one for one in remaining if one.measure in REFLECTIVE and one.change.size > 0), None):
        start, end = lead.updates
        near = [one for one in remaining if one.updates[0] < end and one.updates[1] > start]
        moments.append(Moment(lead=lead, others=tuple(one for one in near if one is not lead)))
        remaining = [one for one in remaining if one not in near]
    return sorted(moments, key=lambda moment: moment.updates)
