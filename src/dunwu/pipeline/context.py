"""What a run gives to each of its stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dunwu.execution.executor import Executor
from dunwu.monitoring.progress import Progress
from dunwu.pipeline.interrupts import StopSignal
from dunwu.runs import StageDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """``name`` the stage's, ``seed`` the run's, ``store`` its part of the run directory.

    ``note`` writes a fact about how the run is made into its manifest; ``left_out`` names training texts that a
    benchmark has too.
    """

    name: str
    seed: int
    store: StageDirectory
    executor: Executor
    stop: StopSignal
    progress: Progress
    recipe: str = ""
    """The recipe's name."""
    left_out: frozenset[str] = frozenset()
    note: Callable[[str, object], None] = lambda key, value: None
