"""Pages of the observatory, and a library that is read here and now, without a thread."""

from __future__ import annotations

from pathlib import Path

from tests.unit.observatory.making import STAGE

from dunwu.observatory.web.library import Library
from dunwu.observatory.web.reader import read_some

PAGES = (
    "/runs/0",
    f"/runs/0/curves?stage={STAGE}",
    f"/runs/0/rollouts?stage={STAGE}",
    f"/runs/0/rollouts/{STAGE}/16/3",
    f"/runs/0/paths?stage={STAGE}",
    "/compare",
)


def read(library: Library) -> Library:
    """All that is there, as the reader and the loader do it, here and now."""
    for watched in library.runs:
        for stage in watched.read().stages:
            known: dict[tuple[Path, int], bytes] = {}
            while read_some(watched.read().stage(stage), known):
                pass
        watched.refresh()
    return library
