"""Who starts cells on this machine: the best of three that works when it is tried.

1  the zygote            namespaces, own uids, Landlock, seccomp, rlimits                     zygote.py
2  bubblewrap            its namespaces, an empty environment, Landlock, seccomp, rlimits
3  a plain process       rlimits, and of the walls what the kernel has: not safe
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Literal

from dunwu.sandbox import root
from dunwu.sandbox.client import ENVIRONMENT, PACKAGE, Launcher, Sandbox, Zygote, interpreter
from dunwu.sandbox.records import Limits, Unavailable

Tier = Literal[1, 2, 3]
STANDARD = Limits()
FORBIDDEN = """
import os, socket
def tried(what):
    try:
        what()
        return True
    except OSError:
        return False
reached = [name for name, what in {
    "a host file": lambda: open("/etc/passwd"), "processes": lambda: os.stat("/proc/1/environ"),
    "fork": os.fork, "the network": socket.socket, "a shell": lambda: os.stat("/bin/sh"),
    "the library": lambda: open(os.__file__, "r+"), "signals": lambda: os.kill(1, 0),
}.items() if tried(what)]
print("reached:", *reached)
"""
"""A look at what a program could do, at the start of each run; ``dunwu sandbox check`` tries far more."""


class Plain:
    """Tiers 2 and 3: a process for each cell."""

    def __init__(self, *, bubblewrap: str | None = None, libraries: Sequence[str] = ()) -> None:
        self._bubblewrap, self._libraries = bubblewrap, list(map(os.path.realpath, libraries))
        self._closed = False
        self._cells: dict[int, tuple[subprocess.Popen[bytes], tempfile.TemporaryDirectory[str]]] = {}

    def open(self, place: int, limits: Limits) -> socket.socket:
        """See ``client.Launcher``."""
        if self._closed:
            raise Unavailable("the sandbox is closed")
        self._end(place)
        folder = tempfile.TemporaryDirectory(prefix="dunwu-cell-", ignore_cleanup_errors=True)
        near, far = socket.socketpair()
        directory = root.WORKPLACE if self._bubblewrap else folder.name
        command = interpreter("dunwu.sandbox.lone", str(far.fileno()), directory)
        if self._bubblewrap:
            command = [self._bubblewrap, *_arguments(limits, self._libraries), *command]
        try:
            process = subprocess.Popen(
                command,
                pass_fds=[far.fileno()],
                env=ENVIRONMENT | root.granting(self._libraries),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"no cell: {error}") from None
        finally:
            far.close()
        self._cells[place] = process, folder
        return near

    def close(self) -> None:
        """See ``client.Launcher``."""
        self._closed = True
        for place in list(self._cells):
            self._end(place)

    def _end(self, place: int) -> None:
        if place in self._cells:
            process, folder = self._cells.pop(place)
            process.kill()
            process.wait()
            folder.cleanup()


def _arguments(limits: Limits, libraries: list[str]) -> list[str]:
    """Bubblewrap's: everything unshared, the library read-only, a bounded place to write."""
    binds = [part for path in [*_needed(), *libraries] for part in ("--ro-bind", path, path)]
    links = [part for path in root.LIBRARIES if os.path.islink(path) for part in ("--symlink", os.readlink(path), path)]
    devices = [part for path in root.DEVICES for part in ("--dev-bind", path, path)]
    place = ["--size", str(limits.file_bytes), "--tmpfs", root.WORKPLACE]
    isolation = ["--unshare-all", "--die-with-parent", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000"]
    return [*isolation, *binds, *links, *devices, *place, "--remount-ro", "/", "--"]


def _needed() -> list[str]:
    program = {os.path.realpath(sys.executable), sys.executable, os.path.join(PACKAGE, "dunwu")}
    return [*root.library(), *sorted(path for path in program if not path.startswith(tuple(root.library())))]


def choose(
    places: int, limits: Limits = STANDARD, *, libraries: Sequence[str] = (), allow_unsafe: bool = False
) -> tuple[Sandbox, Tier]:
    """The best sandbox that works here, for programs with at most these limits, which may read ``libraries`` too.

    Raises:
        Unavailable: neither tier 1 nor tier 2 does, and ``allow_unsafe`` is not set.
    """
    bubblewrap = shutil.which("bwrap")
    launchers: list[tuple[Tier, Launcher]] = [(1, Zygote(2 * places, limits, libraries))]
    if bubblewrap:
        launchers.append((2, Plain(bubblewrap=bubblewrap, libraries=libraries)))
    reasons = []
    for tier, launcher in launchers:
        sandbox = Sandbox(launcher, places)
        reason = obstacle(sandbox)
        if reason is None:
            return sandbox, tier
        reasons.append(f"tier {tier}: {reason}")
        sandbox.close()
    if allow_unsafe:
        return Sandbox(Plain(libraries=libraries), places), 3
    raise Unavailable("; ".join(reasons) + ("" if bubblewrap else "; tier 2: bubblewrap is not installed"))


def obstacle(sandbox: Sandbox) -> str | None:
    """Why programs must not run in it; None where nothing that is forbidden could be reached."""
    try:
        with sandbox.open(Limits()) as session:
            outcome = session.run(FORBIDDEN)
    except Unavailable as error:
        return str(error)
    reached = outcome.stdout.strip().removeprefix("reached:").strip()
    if outcome.status != "ok" or reached:
        return f"a program reached {reached}" if reached else f"it cannot run a program: {outcome.detail}"
    return None
