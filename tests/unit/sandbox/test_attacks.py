"""No attack gets through; without a sandbox each of them does, so that none is refused for a slip of its own."""

from __future__ import annotations

import os
import shutil

import pytest

from dunwu.sandbox import Limits, Sandbox, Unavailable, choose
from dunwu.sandbox.attacks import read_attacks
from dunwu.sandbox.preflight import breaches_bare, lay_bait, try_attacks
from dunwu.sandbox.tiers import ProcessLauncher, find_weakness


def test_no_attack_gets_through(sandbox: Sandbox) -> None:
    assert len(read_attacks()) >= 70
    assert len({attack.name for attack in read_attacks()}) == len(read_attacks())
    assert try_attacks(sandbox) == []


@pytest.mark.slow
def test_every_attack_works_where_there_is_no_sandbox() -> None:
    root = os.geteuid() == 0
    with lay_bait() as laid:
        failed = [a.name for a in read_attacks() if (root or not a.as_root) and not breaches_bare(a, laid)]
    assert failed == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_bubblewrap_stops_them_too() -> None:
    with Sandbox(ProcessLauncher(bubblewrap=shutil.which("bwrap")), 1) as second:
        assert find_weakness(second) is None
        assert try_attacks(second) == []


def test_a_plain_process_is_found_out_and_used_only_where_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(ProcessLauncher(), 1) as third:
        found = find_weakness(third)
        assert found is not None
        assert found.startswith("a program reached ")
    monkeypatch.setattr("dunwu.sandbox.tiers.find_weakness", lambda sandbox: "nothing works here")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unavailable, match="tier 1: nothing works here; tier 2: bubblewrap is not installed"):
        choose(1)
    chosen, tier = choose(1, allow_unsafe=True)
    with chosen, chosen.open(Limits(seconds=0.5)) as session:
        assert tier == 3
        assert session.run("print(input())", "x\n").stdout == "x\n"
        assert session.run("while True: pass").status == "timeout"
