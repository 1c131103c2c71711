"""The sandbox: how many programs a second, beside a plain subprocess that protects from nothing.

``trivial``  one program that prints 1, in a cell of its own
``tests``    a completion of five tests
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dunwu.errors import UserError
from dunwu.sandbox import Limits, Sandbox, choose
from dunwu.verifiers.code import CodeVerifier

SOURCE = "a, b = map(int, input().split())\nprint(a + b)"
TESTS = tuple(json.dumps({"stdin": f"{n} 1\n", "stdout": f"{n + 1}\n"}) for n in range(5))
ROUNDS, COMPLETIONS = 3, 1000


def measure(against: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Measure programs, and completions of five tests, a second, with a place for each core.

    Args:
        against: ``subprocess`` or nothing.

    Returns:
        Medians of ``ROUNDS`` rounds in turns, by workload.

    Raises:
        UserError: A peer other than ``subprocess``.
        Unavailable: This machine gives no safe tier.
    """
    for peer in against:
        if peer != "subprocess":
            raise UserError(f"no such peer: {peer}; the sandbox is measured against subprocess", field="--against")
    places, number = os.cpu_count() or 1, itertools.count()
    sandbox, _ = choose(places)
    with sandbox:
        verifier = CodeVerifier(sandbox, Limits())
        sides: dict[str, dict[str, Callable[[int], Any]]] = {
            "trivial": {"dunwu": lambda _: _trivial(sandbox), "subprocess": lambda _: _plain("print(1)", "")},
            "tests": {
                "dunwu": lambda _: verifier.judge(TESTS, f"{SOURCE}  # {next(number)}"),  # none was seen before
                "subprocess": lambda _: _plain(SOURCE, *(json.loads(test)["stdin"] for test in TESTS)),
            },
        }
        return {name: _rates(side, against, places) for name, side in sides.items()}


def _rates(sides: dict[str, Callable[[int], Any]], against: Sequence[str], places: int) -> dict[str, Any]:
    rates: dict[str, list[float]] = {name: [] for name in ("dunwu", *against)}
    for _ in range(ROUNDS):
        for name, taken in rates.items():
            with ThreadPoolExecutor(places) as pool:
                began = time.perf_counter()
                list(pool.map(sides[name], range(COMPLETIONS)))
                taken.append(COMPLETIONS / (time.perf_counter() - began))
    medians = {name: statistics.median(taken) for name, taken in rates.items()}
    ours = medians.pop("dunwu")
    ratio = ours / max(medians.values()) if medians else None
    return {"ours": ours, "unit": "completions/s", "peers": medians, "ratio": ratio, "floor_share": None}


def _trivial(sandbox: Sandbox) -> None:
    with sandbox.open(Limits()) as session:
        session.run("print(1)")


def _plain(source: str, *stdins: str) -> None:
    for stdin in stdins:
        subprocess.run([sys.executable, "-I", "-c", source], input=stdin, capture_output=True, text=True, check=True)
