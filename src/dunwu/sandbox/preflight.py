"""Tries every attack inside the sandbox, with real bait outside."""

from __future__ import annotations

import os
import secrets
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dunwu.sandbox.attacks import ATTACKS, Attack
from dunwu.sandbox.client import Sandbox
from dunwu.sandbox.records import Limits, Unavailable

LIMITS = Limits(seconds=1.0)
BARE_SECONDS = 5.0
TRIVIAL_RUNS = 100


@contextmanager
def bait() -> Iterator[dict[str, str]]:
    """What attacks look for, under the names that they use."""
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


def breached(sandbox: Sandbox, attack: Attack, laid: dict[str, str]) -> bool:
    """Whether the attack gets through. Raises Unavailable where the sandbox fails, which is a breach of another kind."""
    said = ""
    for source in filter(None, (attack.source, attack.later)):
        with sandbox.open(LIMITS) as session:
            began = time.monotonic()
            outcome = session.run(string.Template(source).substitute(laid))
            said += outcome.stdout
            if attack.hangs and (outcome.status != "timeout" or time.monotonic() - began > BARE_SECONDS):
                return "wait for input" != attack.name or outcome.status != "ok"
    return "BREACHED" in said


def through_bare(attack: Attack, laid: dict[str, str]) -> bool:
    """Whether it gets through where nothing stops it: a plain process with the caller's rights."""
    said = ""
    for source in filter(None, (attack.source, attack.later)):
        command = [sys.executable, "-c", string.Template(source).substitute(laid)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, close_fds=False
        )
        assert process.stdout is not None
        try:
            if attack.hangs:
                process.wait(BARE_SECONDS / 2)
            else:
                said += process.stdout.read().decode()
        except subprocess.TimeoutExpired:
            return True
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
    return "BREACHED" in said


def attacked(sandbox: Sandbox) -> list[str]:
    """Names of the attacks that got through, or took the sandbox down."""
    through = []
    with bait() as laid:
        for attack in ATTACKS:
            try:
                if breached(sandbox, attack, laid):
                    through.append(attack.name)
            except Unavailable as error:
                through.append(f"{attack.name} ({error})")
    return through


def median_ms(sandbox: Sandbox) -> float:
    """Of a trivial program in a cell of its own, milliseconds."""
    taken = []
    for _ in range(TRIVIAL_RUNS):
        began = time.perf_counter()
        with sandbox.open(LIMITS) as session:
            session.run("print(1)")
        taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken)
