"""A finished run, and the observatory over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.unit.observatory.making import finished_run
from tests.unit.observatory.watching import read

from dunwu.observatory.web.app import make_app
from dunwu.observatory.web.library import Library


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return finished_run(tmp_path / "run", rollouts=6, problems=8, samples=2)


@pytest.fixture
def library(directory: Path) -> Library:
    """Read to the end, without a thread."""
    found = Library([directory])
    read(found)
    return found


@pytest.fixture
def client(library: Library) -> Iterator[TestClient]:
    with TestClient(make_app(library), base_url="http://127.0.0.1:8765") as found:
        yield found
