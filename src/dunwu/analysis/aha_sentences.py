"""What was found, in sentences that claim no more than the tests do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dunwu.analysis.aha import LEVEL, Evidence, Moment, MomentSearch
from dunwu.analysis.labels import format_p_value, format_rounded


def describe_reading(read: int, stored: int) -> str:
    """Say how far the reading of rollouts is; from a part of them nothing is concluded."""
    return f"Reading {read:,} of {stored:,} rollouts; the verdict comes when all have been read."


def describe_search(found: MomentSearch) -> str:
    """Say in one or two sentences whether there is a candidate, and of what kind."""
    if not found.series:
        return f"Too few rollouts to look for an aha moment: {found.rollouts}."
    if not found.moments:
        return (
            f"No candidate for an aha moment in {found.rollouts:,} rollouts: no series of reflection rose by "
            f"more than chance makes it ({found.series} series, over all of them together {100 * LEVEL:.0f} % false "
            "alarms at most, where the rollouts of an unchanged policy differ by chance alone)."
        )
    moments = " ".join(describe_moment(moment) for moment in found.moments)
    return f"{moments} It is a candidate, no more: that reflection rose does not say that it is what helped."


def describe_moment(moment: Moment) -> str:
    """Say what rose, when and how fast."""
    start, end = moment.updates
    if moment.is_sudden:
        how = f"Between updates {start:,} and {end:,} reflection jumped"
    else:
        how = f"From update {start:,} to {end:,} reflection rose in a climb, not in a jump"
    with_it = [f"“{one.measure.label}”" for one in (*moment.outcome, *moment.strategy) if one.change.size > 0]
    also = f"; with it rose: {', '.join(with_it)}" if with_it else ""
    return f"{how}: “{moment.lead.measure.label}” {describe_levels(moment.lead)}{also}."


def describe_levels(one: Evidence) -> str:
    """Say from which level to which a series changed."""
    before, after = (format_level(one, value) for value in (one.change.before, one.change.after))
    return f"from {before} to {after}"


def format_level(one: Evidence, value: float) -> str:
    """Write a level of a series with its unit."""
    return f"{format_rounded(100 * value, 1)} %" if one.measure.share else format_rounded(value, 2)


def tabulate_effect(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Tabulate what the causal check found.

    Args:
        found: ``evaluation.ablation.ReflectionEffect`` as a mapping.

    Returns:
        What each line is, and its value.
    """
    difference = found["difference"]
    points = [format_rounded(100 * difference[name], 1, "+") for name in ("value", "low", "high")]
    return [
        ("chains, and continuations of each", f"{found['chains']:,} x {found['samples']:,}"),
        ("right without reflection", _format_share(found["without"])),
        ("right with it", _format_share(found["with_"])),
        ("difference, points", f"{points[0]} ({points[1]} to {points[2]}), p {format_p_value(found['p'])}"),
        ("reflected all the same", f"{format_rounded(100 * found['leaked'], 1)} %"),
    ]


def _format_share(estimate: Mapping[str, float]) -> str:
    value, low, high = (format_rounded(100 * estimate[name], 1) for name in ("value", "low", "high"))
    return f"{value} % ({low} to {high})"
