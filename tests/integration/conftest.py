"""Servers that stand still are not waited for."""

from __future__ import annotations

import pytest

from dunwu.rollout.remote import client as endpoint


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on this machine is asked twice, at once."""
    monkeypatch.setattr(endpoint, "PATIENCE", (0.0,))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
