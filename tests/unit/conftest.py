"""One sandbox for all unit tests that run programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
