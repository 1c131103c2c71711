"""The first process of a cell. It runs no foreign code: it forks who does, carries lines to and fro, and keeps time.

    client  {"run": {...}}          -> a program starts            {"said": line}      <- the program says a line
            {"say": line}           -> the program hears a line    {"ended": {...}, "bytes": [n, m]}
            {"end": true}           -> the program is killed                           <- the program is over

After ``ended`` the bytes of stdout and stderr follow as they are. One program lives at a time, in a clean directory.
It cannot reach this process: it has another uid or no capabilities, cannot trace or signal the first process of its
namespace, and none of this process's descriptors.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import time
from typing import Any, NoReturn

from dunwu.sandbox import filesystem, kernel, program
from dunwu.sandbox.confinement import ABOVE, Confinement
from dunwu.sandbox.records import PATIENCE, SLOWDOWN

TICK = 0.05
"""Seconds between two looks at a program's processor time."""
REST = 0.005
"""Seconds for which a program's output is left to gather where it came in small pieces."""
LONGEST_LOOK = 1.0
"""Seconds that pass at most between two looks: in a longer while this process itself had no time, or was stopped."""
CHUNK = 1 << 16
MOST_LINES = 1000
"""That a program may say unasked: each is carried to the client."""
NAMES = {number.value: number.name for number in signal.Signals}
STACK = 64 << 20
DESCRIPTORS = 64
ENTERED = b"entered"
"""Said before the program's first instruction: whatever ends earlier is no verdict on it."""


class Cell:
    """Serves one client until it hangs up.

    Args:
        link: The client's.
        workplace: Where programs start and may write.
        address_space: Bytes that an idle process here has mapped.
        confinement: What programs enter; None where tier 3 has none.
    """

    def __init__(
        self,
        link: socket.socket,
        workplace: filesystem.Workplace | filesystem.Folder,
        address_space: int,
        confinement: Confinement | None,
    ) -> None:
        self._link, self._workplace, self._address_space = link, workplace, address_space
        self._confinement = confinement
        self._commands = b""
        self._child: _Child | None = None

    def serve(self) -> None:
        """Serve until the client hangs up."""
        while True:
            wanted = [self._link.fileno()] + (self._child.open_ends if self._child else [])
            ready, _, _ = select.select(wanted, [], [], self._child.pause if self._child else None)
            if self._link.fileno() in ready and not self._obey():
                return
            if self._child:
                self._watch(ready)

    def _obey(self) -> bool:
        """Do what the client wants; return whether it is still there."""
        try:
            data = self._link.recv(CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            return False
        self._commands += data
        while b"\n" in self._commands:
            line, _, self._commands = self._commands.partition(b"\n")
            command = json.loads(line)
            if "run" in command:
                self._child = self._start(command["run"])
            elif self._child and "say" in command:
                self._child.say(command["say"])
            elif self._child and "end" in command:
                self._child.kill("ended")
        return True

    def _watch(self, ready: list[int]) -> None:
        assert self._child is not None
        lines, ended = self._child.look(ready)
        for line in lines:
            self._reply({"said": line})
        if ended is not None:
            written = self._child.output
            self._child = None
            self._reply({"ended": ended, "bytes": [*map(len, written)]}, *written)

    def _reply(self, message: dict[str, Any], *written: bytes) -> None:
        self._link.sendall(b"".join([json.dumps(message).encode("ascii"), b"\n", *written]))

    def _start(self, request: dict[str, Any]) -> _Child:
        if self._workplace.clean() and self._confinement:
            self._confinement.rebuild()
        pipes = {name: os.pipe() for name in ("hearing", "saying", "out", "err")}
        stdin = _seal(request["stdin"].encode("utf-8", "surrogateescape"))
        pid = os.fork()
        if pid == 0:
            spare = fcntl.fcntl(pipes["saying"][1], fcntl.F_DUPFD, ABOVE)
            try:
                self._become(request, stdin, pipes, spare)
            except OSError as error:
                os.write(spare, str(error).encode("ascii", "replace") + b"\n")
            finally:
                os._exit(1)
        os.close(stdin)
        for name, (reading, writing) in pipes.items():
            os.close(reading if name == "hearing" else writing)
        ends = {name: writing if name == "hearing" else reading for name, (reading, writing) in pipes.items()}
        return _Child(pid, ends, request["limits"], converses=request["mode"] != "program")

    def _become(self, request: dict[str, Any], stdin: int, pipes: dict[str, tuple[int, int]], spare: int) -> NoReturn:
        """Turn the forked process into the program, and give up everything that a program has no business with.

        ``spare`` takes what goes wrong on the way.
        """
        places = [stdin, pipes["out"][1], pipes["err"][1], pipes["hearing"][0], pipes["saying"][1]]
        # First out of the way, so that none is overwritten before it is moved to its place.
        for place, descriptor in enumerate([fcntl.fcntl(number, fcntl.F_DUPFD, ABOVE) for number in places]):
            os.dup2(descriptor, place)
        kernel.close_all_but(*range(len(places)), spare, *([self._confinement.descriptor] if self._confinement else []))
        os.setsid()
        os.chdir(self._workplace.path)
        os.umask(0o077)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        self._limit(request["limits"])
        if self._confinement:
            self._confinement.enter()
        os.close(spare)
        os.write(program.SAYING, ENTERED + b"\n")
        gc.enable()
        program.run(request["mode"], request["source"], request["entry"])

    def _limit(self, limits: dict[str, Any]) -> None:
        seconds = int(limits["seconds"]) + 1
        for kind, value in (
            (resource.RLIMIT_AS, self._address_space + limits["memory_bytes"]),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_FSIZE, limits["file_bytes"]),
            (resource.RLIMIT_NOFILE, DESCRIPTORS),
            # Without a user namespace this would count everything that the user runs.
            (resource.RLIMIT_NPROC, limits["threads"] if self._confinement else resource.RLIM_INFINITY),
            (resource.RLIMIT_STACK, STACK),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_MEMLOCK, 0),
            (resource.RLIMIT_MSGQUEUE, 0),
        ):
            _, most = resource.getrlimit(kind)
            bounds = [bound for bound in (value, most) if bound != resource.RLIM_INFINITY]
            lower = min(bounds, default=resource.RLIM_INFINITY)
            resource.setrlimit(kind, (lower, lower))


class _Child:
    """A program at work, seen from outside.

    Args:
        pid: Its process.
        ends: Our ends of its pipes, by name.
        limits: What it may use.
        converses: Whether it answers lines; any other program owes its end.
    """

    def __init__(self, pid: int, ends: dict[str, int], limits: dict[str, Any], *, converses: bool) -> None:
        self._pid, self._ends, self._limits, self._converses = pid, ends, limits, converses
        self._pidfd = os.pidfd_open(pid)
        self._clock = (~pid << 3) | 2
        """The process's own clock (CPUCLOCK_SCHED), see clock_getcpuclockid(3)."""
        self._written = {"out": bytearray(), "err": bytearray(), "saying": bytearray()}
        self._output = self._unasked = 0
        self._reason = ""
        self._entered = False
        self._worked = 0.0
        """Seconds by the clock that it has been at work, as far as this process saw them pass."""
        self._owes = True
        """Whether it is at work on something, and does not wait for a line."""
        self._looked = time.monotonic()
        self._rests_until = 0.0
        for descriptor in ends.values():
            os.set_blocking(descriptor, False)

    @property
    def open_ends(self) -> list[int]:
        """The descriptors to wait for."""
        names = ("saying",) if self._is_resting() else self._written
        return [self._pidfd] + [self._ends[name] for name in names if name in self._ends]

    @property
    def pause(self) -> float:
        """Seconds until the next look, whatever happens."""
        return REST if self._is_resting() else TICK

    def _is_resting(self) -> bool:
        return time.monotonic() < self._rests_until

    @property
    def output(self) -> tuple[bytes, bytes]:
        """What it has written to stdout and stderr."""
        return bytes(self._written["out"]), bytes(self._written["err"])

    def say(self, line: str) -> None:
        """Give the program a line; it works again."""
        self._owes, self._looked = True, time.monotonic()
        self._unasked -= 1
        data = line.encode("ascii", "replace") + b"\n"
        while data:
            try:
                data = data[os.write(self._ends["hearing"], data) :]
            except BlockingIOError:  # it does not listen: until it does, or is killed for the time it took
                select.select([], [self._ends["hearing"]], [], TICK)
                self._check_limits()
            except BrokenPipeError:
                return

    def look(self, ready: list[int]) -> tuple[list[str], dict[str, Any] | None]:
        """Look after the program.

        Args:
            ready: Descriptors that can be read.

        Returns:
            The lines that it has said since the last look, and how it ended; None while it lives.

        Raises:
            OSError: It ended before it began, or was stopped. It cannot stop itself, so that was not its doing.
        """
        if kernel.is_stopped(self._pid):
            raise OSError("a program was stopped from outside")
        for name in [name for name in self._written if self._ends.get(name) in ready]:
            if len(self._take(name)) < CHUNK // 2 and name != "saying":
                self._rests_until = time.monotonic() + REST
        self._check_limits()
        over = self._pidfd in ready
        while over and sum(len(self._take(name)) for name in self._written if name in self._ends) > 0:
            if self._output > self._limits["output_bytes"]:
                break
        lines = self._take_lines()
        return lines, self._bury() if over else None

    def kill(self, reason: str) -> None:
        """Kill the program; of several reasons the first one counts."""
        self._reason = self._reason or reason
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _take_lines(self) -> list[str]:
        *lines, rest = self._written["saying"].split(b"\n")
        self._written["saying"] = bytearray(rest)
        if lines and not self._entered:
            if (first := lines.pop(0)) != ENTERED:
                raise OSError(f"a program is not confined: {first.decode('ascii', 'replace')}")
            self._entered = True
        if not self._converses:
            return []
        if lines:
            self._count_time()
            self._owes = False
        heard = lines[: max(0, MOST_LINES + 1 - self._unasked)]
        self._unasked += len(lines)
        return [line.decode("ascii", "replace") for line in heard]

    def _check_limits(self) -> None:
        """Kill the program where it has used up its time or its output."""
        if self._output > self._limits["output_bytes"] or self._unasked > MOST_LINES:
            self.kill("output-limit")
        self._count_time()
        used, seconds = self._processor_seconds(), self._limits["seconds"]
        if used > seconds or self._worked > PATIENCE * seconds + SLOWDOWN * used:
            self.kill("timeout")

    def _count_time(self) -> None:
        now = time.monotonic()
        if self._owes:
            self._worked += min(now - self._looked, LONGEST_LOOK)
        self._looked = now

    def _bury(self) -> dict[str, Any]:
        """Wait for the program, which has ended, and say how."""
        _, status, usage = os.wait4(self._pid, 0)
        if not self._entered:
            raise OSError("a program ended before it began")
        for descriptor in (*self._ends.values(), self._pidfd):
            os.close(descriptor)
        code = os.waitstatus_to_exitcode(status)
        seconds = usage.ru_utime + usage.ru_stime
        err = self._written["err"].decode("utf-8", "replace")
        return {
            "status": self._find_status(code, seconds),
            "detail": _describe_end(code, err),
            "seconds": seconds,
        }

    def _find_status(self, code: int, seconds: float) -> str:
        if self._reason:
            return self._reason
        if self._output > self._limits["output_bytes"]:
            return "output-limit"
        if code == program.OUT_OF_MEMORY:
            return "memory"
        if code in (-signal.SIGKILL, -signal.SIGXCPU) and seconds > self._limits["seconds"]:
            return "timeout"
        return "ok" if code == 0 else "error"

    def _take(self, name: str) -> bytes:
        """Read what there is at an end; close it where there will be no more."""
        try:
            data = os.read(self._ends[name], CHUNK)
        except BlockingIOError:
            return b""
        if not data:
            os.close(self._ends.pop(name))
        self._written[name] += data
        self._output += len(data)
        return data

    def _processor_seconds(self) -> float:
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            return 0.0  # it is gone


def _seal(data: bytes) -> int:
    """Make a file that can be read and seeked, and not changed."""
    descriptor = os.memfd_create("stdin", os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _describe_end(code: int, err: str) -> str:
    if code < 0:
        return f"killed by {NAMES.get(-code, f'signal {-code}')}"
    lines = err.strip().splitlines()
    return lines[-1][: program.LONGEST_DETAIL] if code and lines else ("" if code == 0 else f"exit code {code}")
