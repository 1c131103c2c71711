"""Pages of the observatory, and a watched that is read here and now, without a thread."""

from __future__ import annotations

from pathlib import Path

from tests.made_runs import STAGE

from dunwu.analysis.facts_worker import extract_some
from dunwu.observatory.web.watched_runs import WatchedRuns

PAGES = (
    "/runs/0",
    f"/runs/0/curves?stage={STAGE}",
    f"/runs/0/rollouts?stage={STAGE}",
    f"/runs/0/rollouts/{STAGE}/16/3",
    f"/runs/0/paths?stage={STAGE}",
    "/compare",
)


def read(runs: WatchedRuns) -> WatchedRuns:
    """All that is there, as the reader and the loader do it, here and now."""
    for watched in runs.runs:
        for stage in watched.read().stages:
            known: dict[tuple[Path, int], bytes] = {}
            while extract_some(watched.read().stage(stage), known):
                pass
        watched.refresh()
    return runs
