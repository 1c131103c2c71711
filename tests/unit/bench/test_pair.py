"""Turns in alternating order, and the memory of each side's processes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from dunwu.bench import memory
from dunwu.bench.pair import Turns, alternate, order_sides, report_memory

SIDES = """
from pathlib import Path
def log(name, file, connection):
    while connection.recv():
        with Path(file).open("a") as out:
            out.write(name)
        connection.send(1.0)
def hold(size, connection):
    while connection.recv():
        connection.send(len(bytearray(size)))
def work_elsewhere(connection):
    while connection.recv():
        connection.send(1.0)
    return 12.5
"""
BLOCK = 200 << 20


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    (tmp_path / "pair_sides.py").write_text(SIDES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pair_sides", raising=False)
    return importlib.import_module("pair_sides")


def test_every_second_round_goes_backwards(sides: object, tmp_path: Path) -> None:
    assert [order_sides(("a", "b", "c"), number) for number in range(3)] == [
        ("a", "b", "c"),
        ("c", "b", "a"),
        ("a", "b", "c"),
    ]
    order = tmp_path / "order"
    alternate({name: partial(sides.log, name, order) for name in "ab"}, rounds=3, threads=1)  # type: ignore[attr-defined]
    assert order.read_text() == "abbaabba"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_memory_of_each_side_is_its_own(sides: object) -> None:
    held = {
        "small": partial(sides.hold, 1),  # type: ignore[attr-defined]
        "large": partial(sides.hold, BLOCK),  # type: ignore[attr-defined]
        "elsewhere": sides.work_elsewhere,  # type: ignore[attr-defined]
    }
    peaks = report_memory(alternate(held, rounds=1, threads=1))
    assert peaks["elsewhere"] == 12.5
    assert peaks["small"] is not None
    assert peaks["large"] is not None
    assert 190 < peaks["large"] - peaks["small"] < 240, "200 MiB were freed before the end, and count"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_memory_of_children_is_added() -> None:
    source = f"import sys; block = bytearray({BLOCK}); print(flush=True); sys.stdin.read()"
    alone = memory.read_peak_memory(os.getpid())
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        together, its_own = memory.read_peak_memory(os.getpid()), memory.read_peak_memory(child.pid)
        child.communicate()
    assert alone is not None
    assert its_own is not None
    assert its_own > 200
    assert together == pytest.approx(alone + its_own, abs=5)


def test_the_peak_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for pid, children, peak in ((7, "8 9", 2048), (8, "", 1024), (9, "", 512)):
        task = tmp_path / str(pid) / "task" / str(pid)
        task.mkdir(parents=True)
        (task / "children").write_text(children)
        (tmp_path / str(pid) / "status").write_text(f"VmPeak:\t 99999 kB\nVmHWM:\t  {peak} kB\nVmRSS:\t 1 kB\n")
    monkeypatch.setattr(memory, "PROCESSES", tmp_path)
    assert memory.read_peak_memory(7) == 3.5
    assert memory.read_peak_memory(6) is None


def test_free_memory_is_what_the_container_allows_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "meminfo"
    file.write_text(f"MemTotal: {8 << 20} kB\nMemAvailable:  {3 << 20} kB\n")
    monkeypatch.setattr(memory, "MEMORY", file)
    monkeypatch.setattr(memory, "usable_memory_gib", lambda: 4.0)
    assert memory.read_free_memory_gib() == 3.0
    monkeypatch.setattr(memory, "usable_memory_gib", lambda: 2.0)
    assert memory.read_free_memory_gib() == 2.0


def test_the_median_of_turns() -> None:
    assert Turns(numbers=(1.0, 9.0, 2.0), peak_memory_mib=None).median == 2.0


def test_no_module_hides_one_of_pythons_from_the_scripts_beside_it() -> None:
    """A peer's script runs from this folder, which Python then searches first."""
    names = {file.stem for file in Path(memory.__file__).parent.glob("*.py")}
    assert names & set(sys.stdlib_module_names) == set()
