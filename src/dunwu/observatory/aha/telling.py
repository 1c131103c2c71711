"""What was found, in sentences that claim no more than the tests do."""

from __future__ import annotations

from dunwu.observatory.aha.moments import LEVEL, Evidence, Moment, Search


def verdict(found: Search) -> str:
    """In one or two sentences: is there a candidate, and of what kind?"""
    if not found.series:
        return f"Too few rollouts to look for an aha moment: {found.rollouts}."
    if not found.moments:
        return (
            f"No candidate for an aha moment in {found.rollouts:,} rollouts: no series of reflection rose by "
            f"more than chance makes it ({found.series} series, over all of them together {100 * LEVEL:.0f} % false "
            "alarms at most)."
        )
    told = " ".join(sentence(moment) for moment in found.moments)
    return f"{told} It is a candidate, no more: that reflection rose does not say that it is what helped."


def sentence(moment: Moment) -> str:
    """What rose, when and how fast."""
    start, end = moment.updates
    if moment.sudden:
        how = f"Between updates {start:,} and {end:,} reflection jumped"
    else:
        how = f"From update {start:,} to {end:,} reflection rose in a climb, not in a jump"
    with_it = [one.measure.label for one in (*moment.outcome, *moment.strategy) if one.change.size > 0]
    also = f"; with it rose: {', '.join(with_it)}" if with_it else ""
    return f"{how}: {moment.lead.measure.label} {levels(moment.lead)}{also}."


def levels(one: Evidence) -> str:
    """From what to what."""
    before, after = (written(one, value) for value in (one.change.before, one.change.after))
    return f"from {before} to {after}"


def written(one: Evidence, value: float) -> str:
    """A value of a series with its unit."""
    return f"{100 * value:.1f} %" if one.measure.share else f"{value:,.2f}"
