"""What several files share: servers that stand still are not waited for, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dunwu.rollout.remote import client as endpoint
from tests.browsing import CHROMIUM, FLAGS, PATIENCE


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on this machine is asked twice, at once."""
    monkeypatch.setattr(endpoint, "PATIENCE", (0.0,))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra 'dev' is not installed")
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as found:
        opened = found.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()
