"""One sandbox for all unit tests that run programs, and a recipe for those that call the command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.calling import RECIPE

from dunwu.sandbox import Sandbox, Unavailable, choose


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The best that this machine gives, with two places."""
    try:
        chosen, _ = choose(2)
    except Unavailable as error:
        pytest.skip(f"this machine gives no safe sandbox: {error}")
    with chosen:
        yield chosen


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe without obstacles, in the current directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path
