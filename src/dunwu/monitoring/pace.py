"""The time that a run still takes, for whoever shows it beside a row."""

from __future__ import annotations

from pathlib import Path

from dunwu.analysis.damaged_files import read_or_default
from dunwu.analysis.remaining_time import TimeLeft, estimate_time_left
from dunwu.runs import RunReader


def read_time_left(directory: Path | None, stage: str) -> TimeLeft | None:
    """Read off a run's directory how long the whole run still takes, as watch and report say it.

    Args:
        directory: the run's; None: there is none.
        stage: the one that it is at.

    Returns:
        The time; None where it is not known, or a file is damaged.
    """
    return read_or_default(lambda: estimate_time_left(RunReader(directory), stage), None, []) if directory else None
