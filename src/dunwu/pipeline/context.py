"""What a run gives to each of its stages."""

from __future__ import annotations

from dataclasses import dataclass

from dunwu.observatory.terminal import Progress
from dunwu.pipeline.stopping import StopSignal
from dunwu.runs import StageDirectory


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """``name`` the stage's, ``seed`` the run's, ``store`` its part of the run directory."""

    name: str
    seed: int
    store: StageDirectory
    stop: StopSignal
    progress: Progress
