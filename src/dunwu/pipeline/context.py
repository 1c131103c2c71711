"""What a run gives to each of its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dunwu.config.schema import DataSpec
from dunwu.execution.executor import Executor
from dunwu.monitoring.progress import Progress
from dunwu.pipeline.interrupts import StopSignal
from dunwu.runs import StageWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """All that a stage knows of the run that it is part of."""

    name: str
    """The stage's."""
    seed: int
    """The run's."""
    store: StageWriter
    """The stage's part of the run directory."""
    executor: Executor
    """Opens models, and builds engines and trainers."""
    stop: StopSignal
    """Says where a stop is asked for."""
    progress: Progress
    """Takes what the stage says of itself."""
    recipe: str = ""
    """The recipe's name."""
    data: Mapping[str, DataSpec] = field(default_factory=dict)
    """Texts by name: the recipe's, and those of stages before."""
    find_model: Callable[[str], str] = str
    """Turns an earlier stage into the folder of its model; any other source stays as it is."""
    left_out: frozenset[str] = frozenset()
    """Names of training texts that a benchmark has too."""
    note: Callable[[str, object], None] = lambda key, value: None
    """Writes a fact about how the run is made into its manifest."""
