"""Programs in cells: how they end, what they see, what is left of them, and what outlives a dead zygote."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dunwu.sandbox import Limits, Outcome, Sandbox, Unavailable, retry
from dunwu.sandbox.cell import MOST_LINES
from dunwu.sandbox.client import ZygoteLauncher
from dunwu.sandbox.tiers import find_weakness

OWN = sorted(
    {path.parts[2] for path in map(Path, (*sys.path, sys.prefix, sys.base_prefix)) if path.parts[1:2] == ("tmp",)}
)
"""What cells see in /tmp because this environment lies there."""
SEEN = f"sorted(set(os.listdir('/tmp')) - set({OWN!r}))"
SHORT = Limits(seconds=0.5, output_bytes=1 << 16)


def run(sandbox: Sandbox, source: str, stdin: str = "", limits: Limits = SHORT) -> Outcome:
    """In a cell of its own."""
    with sandbox.open(limits) as session:
        return session.run(source, stdin)


def test_a_program_reads_stdin_and_writes_stdout(sandbox: Sandbox) -> None:
    outcome = run(sandbox, "import sys\nprint(input()[::-1])\nsys.stderr.write('note')", "olleh 你好\n")
    assert (outcome.status, outcome.stdout, outcome.stderr) == ("ok", "好你 hello\n", "note")


@pytest.mark.parametrize(
    ("source", "status", "detail"),
    [
        ("1 / 0", "error", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(3)", "error", "exit code 3"),
        ("import sys; sys.exit('no')", "error", "no"),
        ("def f(:", "error", "SyntaxError: invalid syntax"),
        ("import os; os._exit(0)", "ok", ""),
        ("raise SystemExit", "ok", ""),
        ("while True: pass", "timeout", "killed by SIGKILL"),
        ("import time; time.sleep(60)", "timeout", "killed by SIGKILL"),
        ("x = 'a' * 10**9", "memory", "exit code 77"),
        ("while True: print('x' * 1000)", "output-limit", "killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "error", "killed by SIGSEGV"),
        ("import os; os.fork()", "error", "PermissionError: [Errno 1] Operation not permitted"),
        ("\0", "error", "SyntaxError: source code string cannot contain null bytes"),
        ("x = " + "(" * 5000, "error", "SyntaxError: too many nested parentheses"),
    ],
)
def test_how_programs_end(sandbox: Sandbox, source: str, status: str, detail: str) -> None:
    outcome = run(sandbox, source)
    assert (outcome.status, outcome.detail) == (status, detail)


def test_the_traceback_is_the_program_s_alone(sandbox: Sandbox) -> None:
    assert run(sandbox, "def f(): 1 / 0\nf()").stderr.splitlines() == [
        "Traceback (most recent call last):",
        '  File "<__main__>", line 2, in <module>',
        '  File "<__main__>", line 1, in f',
        "ZeroDivisionError: division by zero",
    ]


def test_ordinary_programs_find_what_they_need(sandbox: Sandbox) -> None:
    """Threads, queues, temporary files, randomness, time, recursion, classes, an event loop."""
    source = """
import asyncio, collections, dataclasses, heapq, json, queue, random, sqlite3, sys, tempfile, threading, time
sys.setrecursionlimit(20_000)
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
@dataclasses.dataclass
class Point: x: int = 1
done = queue.Queue()
threads = [threading.Thread(target=done.put, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
with tempfile.TemporaryFile() as file: file.write(b"x" * 10**6)
async def wait(): await asyncio.sleep(0); return 7
print(deep(10_000), Point(), done.qsize(), asyncio.run(wait()), random.random() == random.random(), time.time() > 0)
print(sqlite3.connect(":memory:").execute("select 1").fetchall())
if __name__ == "__main__": print("main")
"""
    outcome = run(sandbox, source, limits=Limits())
    assert outcome.stdout == "10000 Point(x=1) 4 7 False True\n[(1,)]\nmain\n", outcome


def test_the_same_program_draws_the_same_numbers(sandbox: Sandbox) -> None:
    source = "import random; print(random.random(), hash('a'), {'b', 'c', 'd'})"
    assert run(sandbox, source).stdout == run(sandbox, source).stdout


def test_a_program_that_stays_is_called_again_and_again(sandbox: Sandbox) -> None:
    source = "seen = []\ndef f(*a, k=0):\n    seen.append(a)\n    if k: raise KeyError('k')\n    return len(seen), a"
    with sandbox.open(SHORT) as session:
        with session.serve(source, "f") as said:
            assert said == "R"
            assert session.say('{"t": [[1], {"d": []}]}') == 'V{"t": [1, {"t": [1]}]}'
            assert session.say('{"t": [[], {"d": [["k", 1]]}]}') == 'E["KeyError", "\'k\'"]'
            assert session.say('{"t": [[2], {"d": []}]}') == 'V{"t": [3, {"t": [2]}]}'
        with session.serve(source, "missing") as said:
            assert session.say('{"t": [[], {"d": []}]}') == 'E["KeyError", "\'missing\'"]'
        with session.serve("class S:\n    def f(self, x): return x + 1", "S.f") as said:
            assert session.say('{"t": [[1], {"d": []}]}') == "V2"
        with session.serve("1 / 0", "f") as said:
            assert said == 'E["ZeroDivisionError", "division by zero"]'
        assert session.run("print(1)").stdout == "1\n"


def test_time_between_calls_is_nobody_s(sandbox: Sandbox) -> None:
    """A call that takes too long ends the program; what was said before does not count against it."""
    with sandbox.open(SHORT) as session, session.serve("def f(n):\n    while n: pass\n    return 1", "f"):
        for _ in range(20):
            assert session.say('{"t": [[0], {"d": []}]}') == "V1"
        ended = session.say('{"t": [[1], {"d": []}]}')
        assert isinstance(ended, Outcome)
        assert ended.status == "timeout"


def test_lines_said_by_a_whole_program_are_ignored(sandbox: Sandbox) -> None:
    outcome = run(sandbox, "import os\nfor _ in range(9): os.write(4, b'V1\\nR\\n')\nprint('end')")
    assert (outcome.status, outcome.stdout) == ("ok", "end\n")


def test_no_job_sees_another(sandbox: Sandbox) -> None:
    look = f"import os, builtins; print({SEEN}, hasattr(builtins, 'left'))"
    leave = "open('/tmp/left', 'w').write('x'); import builtins; builtins.left = 1\n"
    assert run(sandbox, leave + look).stdout == "['left'] True\n"
    for _ in range(4):  # every place
        assert run(sandbox, look).stdout == "[] False\n"


def test_programs_run_side_by_side(sandbox: Sandbox) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda n: run(sandbox, f"print({n} ** 2)").stdout, range(60)))
    assert outcomes == [f"{n * n}\n" for n in range(60)]


def test_the_directory_is_bounded(sandbox: Sandbox) -> None:
    limits = Limits(seconds=1.0, file_bytes=1 << 20, files=20)
    whole = "for n in range(9):\n    open(f'/tmp/{n}', 'wb').write(b'x' * 2**18)"
    assert run(sandbox, whole, limits=limits).detail == "OSError: [Errno 28] No space left on device"
    many = "for n in range(50): open(f'/tmp/{n}', 'w')"
    assert run(sandbox, many, limits=limits).detail.startswith("OSError: [Errno 28] No space left on device")


@pytest.mark.parametrize(("text", "times"), [("\0", 4_000_000), ("\n", 4_000_000), ("é你", 500_000), ("x\r\ny", 1)])
def test_whatever_is_written_comes_out_as_it_is(sandbox: Sandbox, text: str, times: int) -> None:
    source = f"import sys\nsys.stdout.write({text!r} * {times})\nsys.stderr.write({text!r})"
    outcome = run(sandbox, source, limits=Limits())
    assert (outcome.status, outcome.stderr) == ("ok", text)
    assert outcome.stdout == text * times


def test_what_is_no_text_is_marked(sandbox: Sandbox) -> None:
    assert run(sandbox, "import os\nos.write(1, b'a\\xff\\n{}\\n')").stdout == "a\ufffd\n{}\n"


def test_lines_that_nobody_asked_for_are_carried_up_to_a_bound(sandbox: Sandbox) -> None:
    flood = "import os\ndef f():\n    while True: os.write(4, b'V1\\n' * 4096)"
    with sandbox.open(Limits()) as session:
        said, lines = session.start("serve", flood, "f"), 0
        said = session.say('{"t": [[], {"d": []}]}')
        while isinstance(said, str):
            lines, said = lines + 1, session.hear()
    assert said.status == "output-limit"
    assert lines == MOST_LINES + 1


def test_no_test_of_an_answer_sees_the_files_of_another(sandbox: Sandbox) -> None:
    check_clean(sandbox)


def check_clean(own: Sandbox) -> None:
    """What one program leaves, the next one in the same cell does not find."""
    leave = [
        "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\nos.chmod('a/b', 0)\nos.chmod('a', 0)",
        "import os\nos.symlink('/', 'link')\nos.mkdir('.hidden')",
        "for n in range(100): open(f'{n}', 'w').write('x' * 1000)",
    ]
    here = SEEN.replace("/tmp", ".")
    look = f"import os\nprint({here})\nopen('mine', 'w').write('y')\nprint(open('mine').read())"
    with own.open(Limits()) as session:
        for source in leave:
            assert session.run(source).status == "ok"
            assert session.run(look).stdout == "[]\ny\n"
            with session.serve(f"import os\ndef f(): return {here}", "f"):
                assert session.say('{"t": [[], {"d": []}]}') == "V[]"


def test_a_program_that_works_may_wait_longer_than_one_that_only_sleeps(sandbox: Sandbox) -> None:
    """As on a machine that gives it a twentieth of a processor."""
    work = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(3)\nprint('done')"
    assert run(sandbox, work, limits=Limits(seconds=0.8)).stdout == "done\n"
    assert run(sandbox, "import time\ntime.sleep(3)", limits=Limits(seconds=0.8)).status == "timeout"


@pytest.fixture
def zygote() -> Iterator[tuple[ZygoteLauncher, Sandbox]]:
    """One of our own, to be hurt."""
    launcher = ZygoteLauncher(2, SHORT)
    with Sandbox(launcher, 1) as own:
        if reason := find_weakness(own):
            pytest.skip(f"this machine gives no zygote: {reason}")
        yield launcher, own


def test_a_killed_zygote_is_no_verdict_and_comes_back(zygote: tuple[ZygoteLauncher, Sandbox]) -> None:
    launcher, own = zygote
    for _ in range(3):
        with own.open(SHORT) as session:
            assert launcher.pid is not None
            os.kill(launcher.pid, signal.SIGKILL)
            assert select.select([session._link], [], [], 30)[0]  # the cell died with it
            with pytest.raises(Unavailable):
                session.run("print(1)")
        assert run(own, "print(1)").stdout == "1\n"


def children(pid: int) -> list[int]:
    """Of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("depth", ["zygote", "cell", "program"])
def test_what_is_stopped_from_outside_is_no_verdict_and_holds_nobody_up(
    zygote: tuple[ZygoteLauncher, Sandbox], depth: str
) -> None:
    launcher, own = zygote
    with own.open(Limits(seconds=60.0)) as session:
        assert session.start("serve", "def f():\n    while True: pass", "f") == "R"
        session._send({"say": '{"t": [[], {"d": []}]}'})
        assert launcher.pid is not None
        # Only the one that is at work has a child: another was made ahead for the test's place.
        cell = next(pid for pid in children(launcher.pid) if children(pid))
        os.kill({"zygote": launcher.pid, "cell": cell, "program": children(cell)[0]}[depth], signal.SIGSTOP)
        with pytest.raises(Unavailable, match=r"stopped|gone"):
            session.hear()
    assert retry(lambda: run(own, "print(1)")).stdout == "1\n"


def groups_of(pid: int) -> dict[str, Path]:
    """The control groups below ours that a process is in, by controller (version 1)."""
    lines = [line.split(":") for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return {name: Path(f"/sys/fs/cgroup/{name}{path}") for _, name, path in lines if "/dunwu-" in path}


def test_a_control_group_bounds_all_programs_together(zygote: tuple[ZygoteLauncher, Sandbox]) -> None:
    launcher, own = zygote
    assert launcher.pid is not None
    groups = groups_of(launcher.pid)
    if not groups:
        pytest.skip("no control group of version 1 can be made here")
    limits = {"memory": ("memory.limit_in_bytes", launcher._memory), "pids": ("pids.max", launcher._processes)}
    for name, group in groups.items():
        file, value = limits[name]
        assert int((group / file).read_text()) == value // 4096 * 4096 if name == "memory" else value
    # Both places together may run as many threads as the group has room for, not as many as they like.
    tried = """
import threading, time
for _ in range(30): threading.Thread(target=time.sleep, args=(0.2,)).start()
print("all")
"""
    assert run(own, tried, limits=Limits(seconds=1.0, threads=20)).status == "error"
    assert run(own, tried, limits=Limits(seconds=1.0, threads=32)).stdout == "all\n"
    own.close()
    assert not any(group.exists() for group in groups.values())


def test_what_is_closed_stays_closed(zygote: tuple[ZygoteLauncher, Sandbox]) -> None:
    """Also where a program was at work meanwhile, whose caller tries again."""
    launcher, own = zygote

    def work() -> Outcome:
        with own.open(Limits(seconds=30.0)) as session:
            assert session.start("serve", "def f(): pass", "f") == "R"
            own.close()
            return session.run("print(1)")

    with pytest.raises(Unavailable, match="the sandbox failed 3 times: the sandbox is closed"):
        retry(work)
    assert launcher.pid is None


def test_a_zygote_leaves_no_directory_on_the_host() -> None:
    def host() -> set[str]:
        return {name for name in os.listdir("/tmp") if name.startswith("dunwu-")}

    before = host()
    with Sandbox(ZygoteLauncher(2, SHORT), 1) as own:
        if reason := find_weakness(own):
            pytest.skip(f"this machine gives no zygote: {reason}")
    assert host() - before == set()


def leftovers(pid: int) -> tuple[int, int, int]:
    """Children, descriptors and mounts of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return len(children), len(os.listdir(f"/proc/{pid}/fd")), len(Path(f"/proc/{pid}/mounts").read_text().splitlines())


def settled(pid: int) -> tuple[int, int, int]:
    """The leftovers when they no longer change: the last cell's successor takes a moment to begin."""
    never, seen = threading.Event(), [leftovers(pid)]
    while len(seen) < 100 and len(set(seen[-5:])) + 5 - len(seen[-5:]) > 1:
        never.wait(0.05)
        seen.append(leftovers(pid))
    return seen[-1]


@pytest.mark.parametrize("jobs", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_nothing_is_left_behind(zygote: tuple[ZygoteLauncher, Sandbox], jobs: int) -> None:
    launcher, own = zygote
    assert launcher.pid is not None
    run(own, "print(1)")
    before, ours = settled(launcher.pid), len(os.listdir("/proc/self/fd"))
    for number in range(jobs):
        assert run(own, f"print({number})").stdout == f"{number}\n"
    assert settled(launcher.pid) == before
    assert len(os.listdir("/proc/self/fd")) == ours
