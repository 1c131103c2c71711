"""The process from which cells are born: small, the standard library imported, nothing to steal.

    client  {"cell": n, file_bytes, files} + descriptor  ->  a cell for that end of a socket, in place n
    zygote  "ready" once

A cell begins when the one before it in its place is gone to its last process. The zygote never sees what is said over
that socket: programs, inputs and results are between the client and the cell.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

from dunwu.sandbox import filesystem, kernel, seccomp
from dunwu.sandbox.cell import Cell
from dunwu.sandbox.confinement import Confinement

UNUSED_UIDS = 1_000_000
"""Ids from here on belong to nobody; two for each place: the cell's and the program's."""
IMPORTED = """
    abc argparse array ast base64 bisect calendar cmath collections copy csv ctypes dataclasses datetime decimal difflib
    enum fractions functools hashlib heapq html inspect io itertools json keyword math numbers operator pprint queue
    random re secrets shutil statistics string struct tempfile textwrap threading time timeit traceback types typing
    unicodedata uuid zlib
"""
"""Modules that programs ask for."""


def main(link: socket.socket, places: int, groups: list[str]) -> None:
    """Serve until the client hangs up, as a member of the control groups."""
    for group in groups:
        with open(f"{group}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
    import_library()
    zygote = Zygote(link, places)
    gc.collect()
    gc.freeze()
    link.send(b"ready")
    zygote.serve()


def import_library() -> None:
    """Import what programs ask for, and build their filter, before they come."""
    for name in IMPORTED.split():
        importlib.import_module(name)
    sys.path += filesystem.find_import_paths()
    seccomp.build_filter(kernel.MACHINE)


class Zygote:
    """The process itself; it moves into its root on construction.

    Args:
        link: The client's.
        places: Cells at once.

    Raises:
        OSError: The machine does not allow it.
    """

    def __init__(self, link: socket.socket, places: int) -> None:
        self._link = link
        self._places: dict[int, int] = {}
        """Processes at work, and their places."""
        self._waiting: dict[int, tuple[dict[str, Any], int]] = {}
        """The next cell of a place, where one is wanted before the last one is gone."""
        self._privileged = os.geteuid() == 0 and places * 2 <= _count_mappable()
        self._proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._address_space = measure_address_space()
        if self._privileged:
            kernel.unshare(kernel.NEWNS)
        else:
            uid, gid = os.geteuid(), os.getegid()
            kernel.unshare(kernel.NEWUSER | kernel.NEWNS)
            self._write("self/setgroups", "deny")
            self._write("self/uid_map", f"0 {uid} 1")
            self._write("self/gid_map", f"0 {gid} 1")
        self._read = filesystem.enter_root()

    def serve(self) -> None:
        """Serve until the client hangs up."""
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker)
        while True:
            ready, _, _ = select.select([self._link.fileno(), wake], [], [])
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
            if self._link.fileno() in ready:
                data, descriptors, _, _ = socket.recv_fds(self._link, 4096, 1)
                if not data:
                    return
                request = json.loads(data)
                self._waiting[request["cell"]] = request, descriptors[0]
                self._begin(request["cell"])

    def _begin(self, place: int) -> None:
        """Begin the cell that waits for ``place``, if there is one and the place is free."""
        if place not in self._waiting or place in self._places.values():
            return
        request, descriptor = self._waiting.pop(place)
        go, going = os.pipe()
        try:
            pid = kernel.clone(kernel.CELL_NAMESPACES)
            if pid == 0:
                self._become_cell(request, descriptor, go, going)
            self._places[pid] = place
            self._map(pid, place)
            os.write(going, b"x")
        except OSError as error:
            os.write(descriptor, _report_failure(error))
        finally:
            for end in (go, going, descriptor):
                os.close(end)

    def _become_cell(self, request: dict[str, Any], descriptor: int, go: int, going: int) -> NoReturn:
        link = socket.socket(fileno=descriptor)
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(going)
            if os.read(go, 1):
                kernel.close_all_but(0, 1, 2, descriptor)
                self._furnish()
                workplace = filesystem.Workplace(request["file_bytes"], request["files"], self._read)
                workplace.clean()
                confinement = Confinement(self._read, [workplace.path, "/dev/null"])
                Cell(link, workplace, self._address_space, confinement).serve()
        except OSError as error:
            link.send(_report_failure(error))
        finally:
            os._exit(0)

    def _furnish(self) -> None:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        socket.sethostname("cell")

    def _map(self, pid: int, place: int) -> None:
        """Map the ids of a new user namespace: 0 the cell's, 1 the program's; unprivileged, one id is all there is."""
        first = UNUSED_UIDS + 2 * place if self._privileged else 0
        mapping = f"0 {first} {2 if self._privileged else 1}"
        self._write(f"{pid}/uid_map", mapping)
        self._write(f"{pid}/gid_map", mapping)

    def _write(self, path: str, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)

    def _reap(self) -> None:
        while self._places:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            if not pid:
                return
            if os.WIFSTOPPED(status):  # by somebody outside: it would keep its place until its client loses patience
                os.kill(pid, signal.SIGKILL)
            else:
                self._begin(self._places.pop(pid))


def _report_failure(error: OSError) -> bytes:
    return json.dumps({"broken": str(error)}).encode("ascii") + b"\n"


def _count_mappable() -> int:
    """Count the unused ids that exist in this user namespace."""
    with open("/proc/self/uid_map", encoding="ascii") as lines:
        ranges = [tuple(map(int, line.split())) for line in lines]
    return max((first + count - UNUSED_UIDS for first, _, count in ranges if first <= UNUSED_UIDS), default=0)


def measure_address_space() -> int:
    """Return how many bytes this process has mapped; a generous guess where nobody says."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")
    except FileNotFoundError:
        return 256 << 20


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), sys.argv[3:])
