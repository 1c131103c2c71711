"""The protocol itself: who takes what a run says, and who never sees the terminal."""

from __future__ import annotations

from typing import Any

from tests.unit.monitoring.playing import play_stage

from dunwu.monitoring.progress import Broadcast, Progress, Silent


class Recorder(Silent):
    """Keeps the calls of every method of ``Progress``."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        for name in (name for name in vars(Progress) if not name.startswith("_")):
            setattr(self, name, lambda *given, name=name, **named: calls.append((name, *given, named)))


def test_a_broadcast_passes_every_call_on_to_all() -> None:
    alone: list[tuple[Any, ...]] = []
    both: list[tuple[Any, ...]] = []
    play_stage(Recorder(alone))
    play_stage(Broadcast(Recorder(both), Recorder(both)))
    assert repr(both[::2]) == repr(both[1::2])
    assert repr(both[::2]) == repr(alone)
    assert {name for name, *_ in alone} == {name for name in vars(Progress) if not name.startswith("_")} - {
        *("start_run", "show_activity")
    }
