"""Several sides of a comparison, each in a process of its own, that take turns: the machine's moods hit all alike.

The order alternates: A B, B A, A B, so that no side always follows the same other one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from statistics import median

from dunwu.bench.memory import read_peak_memory
from dunwu.errors import Fault

Side = Callable[[Connection], float | None]
"""Gets ready; for every ``True`` it receives it does one unit of work and sends the number measured; ends at ``False``.

Must be picklable: a module's function, or a partial of one. Where a program of its own does the work, it returns that
program's peak memory (see ``read_peak_memory``), else None.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """What was measured of a side.

    Attributes:
        numbers: One a round, as the side sent them.
        peak_memory_mib: The most memory that its processes held, see ``read_peak_memory``.
    """

    numbers: tuple[float, ...]
    peak_memory_mib: float | None

    @property
    def median(self) -> float:
        """The median of the numbers."""
        return median(self.numbers)


def alternate(sides: Mapping[str, Side], rounds: int, threads: int) -> dict[str, Turns]:
    """Have the sides take turns, in the other order every other round.

    Args:
        sides: By name.
        rounds: Turns of each, after one that is thrown away.
        threads: Of torch, in each side's process.

    Returns:
        What was measured of each side.

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
        for number in range(1 + rounds):
            for name in order_sides(tuple(sides), number):
                numbers[name].append(float(_ask(name, ends[name], True)))
        peaks = {name: _ask(name, end, False) for name, end in ends.items()}
    return {name: Turns(numbers=tuple(numbers[name][1:]), peak_memory_mib=peaks[name]) for name in sides}


def order_sides(names: tuple[str, ...], round_number: int) -> tuple[str, ...]:
    """Return the order of a round: as the names come, and backwards in every second one."""
    return names if round_number % 2 == 0 else names[::-1]


def report_memory(turns: Mapping[str, Turns]) -> dict[str, float | None]:
    """Return the peak memory of each side, as every report of a benchmark has it."""
    return {name: side.peak_memory_mib for name, side in turns.items()}


def _ask(name: str, end: Connection, another: bool) -> float:
    try:
        end.send(another)
        found: float = end.recv()
    except (EOFError, ConnectionError) as error:
        raise Fault(f"the {name} side of the benchmark ended early; its words stand above") from error
    return found


def _run(side: Side, connection: Connection, threads: int) -> None:
    """Run a side: with as many threads as the others, and nothing on stdout, which belongs to the caller."""
    import torch

    os.dup2(2, 1)
    torch.set_num_threads(threads)
    peak = side(connection)
    connection.send(read_peak_memory(os.getpid()) if peak is None else peak)
