"""How much memory a side of a comparison held at its peak, and how much this machine has left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dunwu.machine import GIB, usable_memory_gib

PROCESSES, MEMORY = Path("/proc"), Path("/proc/meminfo")


def read_peak_memory(pid: int) -> float | None:
    """Read the largest resident set, in MiB, of a process and all that it started and that still run, added up.

    It is the kernel's ``VmHWM``: interpreter, libraries, weights (files that are mapped, too) and activations, from
    the process's start on. Nothing is taken off.

    Returns:
        None where the system does not tell (it is read from ``/proc``).
    """
    found = [peak for process in _list_tree(pid) if (peak := _read_kib(PROCESSES / str(process) / "status", "VmHWM"))]
    return sum(found) / 1024 if found else None


def read_free_memory_gib() -> float | None:
    """Read how much memory can be had now, in GiB: at most what the container allows; None: not known."""
    free = _read_kib(MEMORY, "MemAvailable")
    known = [value for value in (usable_memory_gib(), free and free * 1024 / GIB) if value]
    return min(known, default=None)


def _list_tree(pid: int) -> Iterator[int]:
    yield pid
    for task in (PROCESSES / str(pid) / "task").glob("*/children"):
        for child in _read(task).split():
            yield from _list_tree(int(child))


def _read_kib(file: Path, key: str) -> int | None:
    found = re.search(rf"^{key}:\s*(\d+) kB$", _read(file), re.MULTILINE)
    return int(found[1]) if found else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:  # it ended, or there is no /proc here
        return ""
