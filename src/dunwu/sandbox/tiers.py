"""Who starts cells on this machine: the best of three that works when it is tried.

1  the zygote            namespaces, own uids, Landlock, seccomp, rlimits                     zygote.py
2  bubblewrap            its namespaces, an empty environment, Landlock, seccomp, rlimits
3  a plain process       rlimits, and Landlock and seccomp as far as the kernel has them: not safe
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

from dunwu.sandbox import filesystem, kernel
from dunwu.sandbox.client import ENVIRONMENT, PACKAGE, Launcher, Sandbox, ZygoteLauncher, build_command
from dunwu.sandbox.records import Limits, Unavailable

Tier = Literal[1, 2, 3]
STANDARD = Limits()
BURIAL_SECONDS = 10.0
"""Seconds for bubblewrap to end once what it started has."""
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


class ProcessLauncher:
    """Tiers 2 and 3: a process for each cell.

    Args:
        bubblewrap: Where it is; None in tier 3.
        libraries: Directories that programs may read beside the standard library.
    """

    def __init__(self, *, bubblewrap: str | None = None, libraries: Sequence[str] = ()) -> None:
        self._bubblewrap, self._environment = bubblewrap, ENVIRONMENT | filesystem.grant_libraries(libraries)
        self._closed = False
        self._cells: dict[int, _Cell] = {}

    def open(self, place: int, limits: Limits) -> socket.socket:
        """See ``client.Launcher``."""
        if self._closed:
            raise Unavailable("the sandbox is closed")
        self._end(place)
        folder = tempfile.TemporaryDirectory(prefix="dunwu-cell-", ignore_cleanup_errors=True)
        near, far = socket.socketpair()
        information, informing = os.pipe()
        bounds = [str(limits.file_bytes), str(limits.files)] if self._bubblewrap else [folder.name]
        command = build_command("dunwu.sandbox.standalone", str(far.fileno()), *bounds)
        if self._bubblewrap:
            command = [self._bubblewrap, "--info-fd", str(informing), *_build_arguments(self._environment), *command]
        try:
            process = subprocess.Popen(
                command,
                pass_fds=[far.fileno(), informing],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            os.close(information)
            raise Unavailable(f"no cell: {error}") from None
        finally:
            far.close()
            os.close(informing)
        self._cells[place] = _Cell(process, folder, information)
        return near

    def check(self, place: int) -> None:
        """See ``client.Launcher``."""
        if place in self._cells and kernel.is_stopped(self._cells[place].process.pid):
            self._end(place)
            raise Unavailable("the cell was stopped")

    def close(self) -> None:
        """See ``client.Launcher``."""
        self._closed = True
        for place in list(self._cells):
            self._end(place)

    def _end(self, place: int) -> None:
        if place in self._cells:
            self._cells.pop(place).end(self._bubblewrap is not None)


class _Cell(NamedTuple):
    """A process, its folder on the host, and where bubblewrap says what it has started."""

    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]
    information: int

    def end(self, bubblewrap: bool) -> None:
        """End it with all its children: bubblewrap waits for the one it started, whose end is that of its namespace."""
        with open(self.information, "rb") as file, suppress(ValueError, ProcessLookupError, subprocess.TimeoutExpired):
            if bubblewrap:  # which may have started none, may be gone, may be stopped
                os.kill(json.loads(file.read())["child-pid"], signal.SIGKILL)
                self.process.wait(BURIAL_SECONDS)
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def _build_arguments(environment: Mapping[str, str]) -> list[str]:
    """Build bubblewrap's arguments: all is unshared, the library read-only, and a place to write can be mounted."""
    granted = environment[filesystem.GRANTED].split(":")
    binds = [part for path in [*_find_needed(), *filter(None, granted)] for part in ("--ro-bind", path, path)]
    links = [
        part for path in filesystem.LIBRARIES if os.path.islink(path) for part in ("--symlink", os.readlink(path), path)
    ]
    devices = [part for path in filesystem.DEVICES for part in ("--dev-bind", path, path)]
    isolation = ["--unshare-all", "--die-with-parent", "--uid", "1000", "--gid", "1000"]
    rights = ["--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"]
    return [*isolation, *rights, *binds, *links, *devices, "--dir", filesystem.WORKPLACE, "--remount-ro", "/", "--"]


def _find_needed() -> list[str]:
    executable = os.path.realpath(sys.executable)
    configuration = os.path.join(os.path.dirname(os.path.dirname(executable)), "pyvenv.cfg")
    program = {executable, os.path.join(PACKAGE, "dunwu"), *([configuration] if os.path.exists(configuration) else [])}
    return [
        *filesystem.find_libraries(),
        *sorted(path for path in program if not path.startswith(tuple(filesystem.find_libraries()))),
    ]


def choose(
    places: int, limits: Limits = STANDARD, *, libraries: Sequence[str] = (), allow_unsafe: bool = False
) -> tuple[Sandbox, Tier]:
    """Open the best sandbox that works here.

    Args:
        places: Programs at once.
        limits: The largest that programs will have.
        libraries: Directories that programs may read beside the standard library.
        allow_unsafe: Whether tier 3 will do.

    Returns:
        The sandbox, which the caller closes, and its tier.

    Raises:
        Unavailable: Neither tier 1 nor tier 2 works, and ``allow_unsafe`` is not set.
    """
    bubblewrap = shutil.which("bwrap")
    launchers: list[tuple[Tier, Launcher]] = [(1, ZygoteLauncher(2 * places, limits, libraries))]
    if bubblewrap:
        launchers.append((2, ProcessLauncher(bubblewrap=bubblewrap, libraries=libraries)))
    reasons = []
    for tier, launcher in launchers:
        sandbox = Sandbox(launcher, places)
        reason = find_weakness(sandbox)
        if reason is None:
            return sandbox, tier
        reasons.append(f"tier {tier}: {reason}")
        sandbox.close()
    if allow_unsafe:
        return Sandbox(ProcessLauncher(libraries=libraries), places), 3
    raise Unavailable("; ".join(reasons) + ("" if bubblewrap else "; tier 2: bubblewrap is not installed"))


def find_weakness(sandbox: Sandbox) -> str | None:
    """Say why programs must not run in a sandbox; None where nothing that is forbidden could be reached."""
    try:
        with sandbox.open(Limits()) as session:
            outcome = session.run(FORBIDDEN)
    except Unavailable as error:
        return str(error)
    reached = outcome.stdout.strip().removeprefix("reached:").strip()
    if outcome.status != "ok" or reached:
        return f"a program reached {reached}" if reached else f"it cannot run a program: {outcome.detail}"
    return None
