"""For every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from dunwu import registry

if "PYTEST_XDIST_WORKER" in os.environ:  # threads of several test processes would wait for each other; torch reads it
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _signals_as_at_a_terminal() -> None:
    """Undo what a shell does to commands in the background, and nohup: children would ignore these signals too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests cache out of the user's cache, and what is there out of tests."""
    os.environ["DUNWU_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _registries_as_before() -> Iterator[None]:
    """Forget the names that a test registers: the next test lists and checks names."""
    registries = [thing for thing in vars(registry).values() if isinstance(thing, registry.Registry)]
    before = [dict(each._entries) for each in registries]
    yield
    for each, entries in zip(registries, before, strict=True):
        each._entries = entries
