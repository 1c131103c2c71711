"""A control group around the zygote and all its cells, where this process may make one: memory and number of processes.

The limits of a single program are rlimits, which need no rights; this bounds all of them together, whatever they do.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from pathlib import Path

LIMIT_FILES = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max", "pids.max")}
"""Controller -> its file in version 1, in version 2."""
GROUP_PREFIX = "dunwu-"
REMOVAL_TRIES, PAUSE_SECONDS = 100, 0.02
"""What was killed takes a moment to be gone."""


def make(memory_bytes: int, processes: int) -> list[Path]:
    """Make groups below our own: one in version 2, one for each controller in version 1.

    To join one, write ``0`` into its ``cgroup.procs``.

    Args:
        memory_bytes: What all members together may have.
        processes: How many members there may be.

    Returns:
        The groups; none where making them is forbidden.
    """
    wanted = {"memory": memory_bytes, "pids": processes}
    made = []
    for own, controllers, version in _find_own_groups():
        group = own / f"{GROUP_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            _sweep(own)
            group.mkdir()
            made.append(group)
            for controller in controllers:
                (group / LIMIT_FILES[controller][version - 1]).write_text(str(wanted[controller]))
        except OSError:
            if made and made[-1] == group:
                remove([made.pop()])
    return made


def remove(groups: list[Path]) -> None:
    """Take away groups whose processes have been killed; one that stays in use stays."""
    for group in groups:
        for _ in range(REMOVAL_TRIES):
            try:
                group.rmdir()
                break
            except OSError as error:
                if error.errno != errno.EBUSY:
                    break
                time.sleep(PAUSE_SECONDS)


def _find_own_groups() -> list[tuple[Path, list[str], int]]:
    """Find our group in each hierarchy that has a controller we want, those controllers, and the version."""
    found = []
    mounts = [line.split() for line in _read_lines("/proc/mounts")]
    for line in _read_lines("/proc/self/cgroup"):
        number, names, path = line.split(":", 2)
        for _, point, kind, options, *_ in mounts:
            own = Path(point + path)
            if kind == "cgroup2" and number == "0":
                offered = " ".join(_read_lines(own / "cgroup.subtree_control")).split()
            elif kind == "cgroup" and set(names.split(",")) <= set(options.split(",")):
                offered = names.split(",")
            else:
                continue
            if controllers := [name for name in LIMIT_FILES if name in offered]:
                found.append((own, controllers, 2 if kind == "cgroup2" else 1))
    return found


def _sweep(own: Path) -> None:
    """Remove what clients that were killed have left."""
    remove([group for group in own.glob(f"{GROUP_PREFIX}*-*") if not _is_alive(group.name)])


def _is_alive(name: str) -> bool:
    return os.path.exists(f"/proc/{name.removeprefix(GROUP_PREFIX).partition('-')[0]}")


def _read_lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
