"""Several sides of a comparison, each in a process of its own, that take turns: the machine's moods hit all alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection

from dunwu.errors import Fault

Side = Callable[[Connection], None]
"""Gets ready; for every ``True`` it receives it does one unit of work and sends the number measured; ends at ``False``.

Must be picklable: a module's function, or a partial of one.
"""


def alternate(sides: Mapping[str, Side], rounds: int, threads: int) -> dict[str, list[float]]:
    """Have the sides take turns.

    Args:
        sides: By name.
        rounds: Turns of each, after one that is thrown away.
        threads: Of torch, in each side's process.

    Returns:
        The numbers of each side, one a round.

    Raises:
        Fault: A side ended early; what it said stands on stderr.
    """
    spawn = get_context("spawn")
    numbers: dict[str, list[float]] = {name: [] for name in sides}
    with ExitStack() as stack:
        ends: dict[str, Connection] = {}
        for name, side in sides.items():
            ends[name], theirs = spawn.Pipe()
            process = spawn.Process(target=_run, args=(side, theirs, threads), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(ends[name].close)
        for _ in range(1 + rounds):
            for name, end in ends.items():
                numbers[name].append(_turn(name, end))
        for end in ends.values():
            end.send(False)
    return {name: values[1:] for name, values in numbers.items()}


def _turn(name: str, end: Connection) -> float:
    try:
        end.send(True)
        return float(end.recv())
    except (EOFError, ConnectionError) as error:
        raise Fault(f"the {name} side of the benchmark ended early; its words stand above") from error


def _run(side: Side, connection: Connection, threads: int) -> None:
    """Run a side: with as many threads as the others, and nothing on stdout, which belongs to the caller."""
    import torch

    os.dup2(2, 1)
    torch.set_num_threads(threads)
    side(connection)
