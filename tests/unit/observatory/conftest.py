"""A finished run, and the observatory over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.made_runs import finished_run
from tests.unit.observatory.watching import read

from dunwu.observatory.web.app import make_app
from dunwu.observatory.web.watched_runs import WatchedRuns


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return finished_run(tmp_path / "run", rollouts=6, problems=8, samples=2)


@pytest.fixture
def watched(directory: Path) -> WatchedRuns:
    """Read to the end, without a thread."""
    found = WatchedRuns([directory])
    read(found)
    return found


@pytest.fixture
def client(watched: WatchedRuns) -> Iterator[TestClient]:
    with TestClient(make_app(watched), base_url="http://127.0.0.1:8765") as found:
        yield found
