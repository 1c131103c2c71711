"""A stop is obeyed at once while generating, and waits for a whole update."""

from __future__ import annotations

import signal
import time

import pytest

from dunwu.errors import Interrupted
from dunwu.pipeline.stopping import StopSignal


def test_generation_is_cut_at_once() -> None:
    with StopSignal() as stop:
        with pytest.raises(Interrupted), stop.interruptible():
            signal.raise_signal(signal.SIGTERM)
        assert stop.requested


def test_an_update_is_not_cut_and_the_next_generation_is() -> None:
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)  # raises nothing here
        reached = False
        with pytest.raises(Interrupted), stop.interruptible():
            reached = True
        assert not reached


def test_a_second_signal_does_not_cut_the_saving() -> None:
    saved = []
    with StopSignal() as stop:
        try:
            with stop.interruptible():
                signal.raise_signal(signal.SIGTERM)
        except Interrupted:
            signal.raise_signal(signal.SIGTERM)
            saved.append("whole")
    assert saved == ["whole"]


def test_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_slow_updates_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 3.3, 4.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with StopSignal() as stop:
        check = stop.pace(updates=4)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted):
            check(1, 0.0)  # 2 s for one, 6 s to go
        with pytest.raises(Interrupted):
            check(1, 0.5)  # 3.3 s for one and a half, 5.5 s to go
        check(2, 0.0)  # 4 s for two, 4 s to go: worth the wait


def test_the_first_update_is_given_up_at_once() -> None:
    """It has changed no weights yet, however long its microbatches take."""
    with StopSignal() as stop:
        check = stop.pace(updates=1)
        check(0, 0.5)  # nobody has asked
        signal.raise_signal(signal.SIGTERM)
        for share in (0.0, 0.5):
            with pytest.raises(Interrupted):
                check(0, share)
