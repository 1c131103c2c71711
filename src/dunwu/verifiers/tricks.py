"""How a program could be paid without solving anything: the tricks of ``tricks.txt``, and which of them work.

A trick is tried as a whole program that prints ``f``'s value, as a function that is called, and as the candidate of a
test. None should be paid, and none should make the sandbox fail: that would spare it the zero.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from dunwu.sandbox import Limits, Sandbox
from dunwu.sandbox.attacks import read_sections
from dunwu.verifiers.code import CodeVerifier

SHEET = Path(__file__).with_name("tricks.txt")
TRICK_LIMITS = Limits(seconds=1.0, output_bytes=1 << 16)


def find_working_tricks(sandbox: Sandbox) -> list[str]:
    """Return the tricks that are paid, or that make the sandbox fail so that there is no verdict."""
    verifier = CodeVerifier(sandbox, TRICK_LIMITS)
    right = f"secret-{secrets.token_hex(8)}"
    shapes = {
        "called": ({"call": "f", "args": [[1, 2, 3]], "result": right}, ""),
        "whole": ({"stdin": "1 2 3\n", "stdout": right + "\n"}, "\nprint(f(input()))"),
        "tested": (
            {"test": f"def check(g):\n    assert g([1, 2]) == {right!r}", "entry": "check", "candidate": "f"},
            "",
        ),
    }
    return [
        f"{name} ({shape})"
        for name, (_, source) in read_sections(SHEET).items()
        for shape, (test, ending) in shapes.items()
        if verifier.judge((json.dumps(test),), source + ending).result in ("passed", "infrastructure")
    ]
