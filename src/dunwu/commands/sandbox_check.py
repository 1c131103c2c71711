"""``dunwu sandbox check``: what gets out of the sandbox of this machine, and which tier it gives."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dunwu.sandbox import choose
from dunwu.sandbox.attacks import read_attacks, read_sections
from dunwu.sandbox.preflight import measure_median_ms, try_attacks
from dunwu.verifiers.tricks import SHEET, find_working_tricks


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCheck:
    """What came of attacks and tricks.

    Attributes:
        tier: How strongly programs are confined on this machine; 1 is strongest.
        attacks: How many attacks were tried.
        breached: The attacks that got through.
        faked: The tricks that got a wrong program accepted.
        tricks: How many ways to fake a verdict were tried.
        median_ms: Milliseconds of a trivial program.
    """

    tier: int
    attacks: int
    breached: list[str]
    faked: list[str]
    tricks: int
    median_ms: float


def check_sandbox() -> SandboxCheck:
    """Try to break out of the sandbox, and to fake verdicts in it.

    Raises:
        Unavailable: This machine gives no safe tier.
    """
    sandbox, tier = choose(os.cpu_count() or 1)
    with sandbox:
        return SandboxCheck(
            tier=tier,
            attacks=len(read_attacks()),
            breached=try_attacks(sandbox),
            faked=find_working_tricks(sandbox),
            tricks=len(read_sections(SHEET)),
            median_ms=measure_median_ms(sandbox),
        )
