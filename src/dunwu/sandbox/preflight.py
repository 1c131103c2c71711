"""Every attack tried inside the sandbox, with real bait outside."""

from __future__ import annotations

import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dunwu.sandbox.attacks import Attack, read_attacks
from dunwu.sandbox.client import Sandbox
from dunwu.sandbox.records import Limits, Unavailable

ATTACK_LIMITS = Limits(seconds=1.0)
BARE_SECONDS = 2.5
TRIVIAL_RUNS = 100


@contextmanager
def lay_bait() -> Iterator[dict[str, str]]:
    """Lay out what attacks look for, and yield it under the names that they use."""
    secret, mark = secrets.token_hex(8), secrets.token_hex(4)
    name = "DUNWU_BAIT"
    with tempfile.TemporaryDirectory(prefix="dunwu-bait-") as folder, socket.socket() as tcp:
        outside = Path(folder) / "outside"
        outside.mkdir()
        file = outside / "secret.txt"
        file.write_text(secret)
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        sibling = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
        with socket.socket(socket.AF_UNIX) as unix, socket.socket(socket.AF_UNIX) as abstract, file.open() as opened:
            unix.bind(str(outside / "socket"))
            unix.listen()
            abstract.bind(f"\0dunwu-{mark}")
            abstract.listen()
            os.set_inheritable(opened.fileno(), True)
            os.environ[name] = secret
            try:
                yield {
                    "secret": secret, "mark": mark, "number": str(int(mark[:7], 16)), "file": str(file),
                    "outside": str(outside), "pid": str(os.getpid()), "sibling": str(sibling.pid),
                    "port": str(tcp.getsockname()[1]),
                }  # fmt: skip
            finally:
                del os.environ[name]
                sibling.kill()
                sibling.wait()


def breaches(sandbox: Sandbox, attack: Attack, laid: dict[str, str]) -> bool:
    """Return whether an attack gets through.

    Args:
        sandbox: Where it runs.
        attack: What is tried.
        laid: What ``lay_bait`` yields.

    Raises:
        Unavailable: The sandbox fails: a breach of another kind.
    """
    said = ""
    for source in attack.fill_bait(laid):
        with sandbox.open(ATTACK_LIMITS) as session:
            said += session.run(source).stdout
    # One that hangs has ended by now: a session waits for no program beyond its time.
    return "BREACHED" in said


def breaches_bare(attack: Attack, laid: dict[str, str]) -> bool:
    """Return whether an attack gets through where nothing stops it: in a plain process with the caller's rights.

    One that hangs is through where it is still there after ``BARE_SECONDS``.
    """
    said = ""
    for source in attack.fill_bait(laid):
        command = [sys.executable, "-c", source]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, close_fds=False
        )
        try:
            if attack.hangs:
                process.wait(BARE_SECONDS)
            else:
                assert process.stdout is not None
                said += process.stdout.read().decode()
        except subprocess.TimeoutExpired:
            return True
        finally:
            process.kill()
            process.wait()
            for pipe in filter(None, (process.stdin, process.stdout)):
                pipe.close()
    return "BREACHED" in said


def try_attacks(sandbox: Sandbox) -> list[str]:
    """Try every attack, and return the names of those that got through, or took the sandbox down."""
    through = []
    with lay_bait() as laid:
        for attack in read_attacks():
            try:
                if breaches(sandbox, attack, laid):
                    through.append(attack.name)
            except Unavailable as error:
                through.append(f"{attack.name} ({error})")
    return through


def measure_median_ms(sandbox: Sandbox) -> float:
    """Measure a trivial program in a cell of its own; the median of ``TRIVIAL_RUNS`` runs, in milliseconds."""
    taken = []
    for _ in range(TRIVIAL_RUNS):
        began = time.perf_counter()
        with sandbox.open(ATTACK_LIMITS) as session:
            session.run("print(1)")
        taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken)
