"""What a process is set to before torch is loaded."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from dunwu.machine import ALLOCATOR_SETTINGS, GIB, M_MMAP_THRESHOLD

COUNT_FAULTS = """
from resource import RUSAGE_SELF, getrusage
from dunwu.machine import keep_freed_memory
keep_freed_memory()
def write():
    b"x" * (64 * 2**20)
write()
before = getrusage(RUSAGE_SELF).ru_minflt
for _ in range(8):
    write()
print(getrusage(RUSAGE_SELF).ru_minflt - before)
"""
"""Writes blocks of 64 MiB one after the other, and prints how many pages the system gave for all but the first."""
GIVE_BACK = """
import re
from dunwu.machine import STATUS, give_memory_back, keep_freed_memory
def held():
    return int(re.search(r"VmRSS:\\s*(\\d+) kB", STATUS.read_text())[1]) // 2**10
keep_freed_memory()
before = held()
blocks = [b"x" * (64 * 2**20) for _ in range(8)]
del blocks
give_memory_back()
print(held() - before)
"""
"""Prints how many MiB more the process holds after 512 were freed and given back."""
LARGE_PAGES = 8 * 32
"""The fewest that so many blocks have: pages of 2 MiB."""


def run_python(code: str, environment: dict[str, str] | None = None) -> str:
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than GNU's is left as it is")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, True),
        ({"MALLOC_MMAP_THRESHOLD_": ""}, True),
        ({"MALLOC_MMAP_THRESHOLD_": "131072"}, False),
        ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False),
        ({"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_freed_memory_is_kept_unless_the_user_says_otherwise(given: dict[str, str], kept: bool) -> None:
    if run_python(f"import ctypes; print(ctypes.CDLL(None).mallopt({M_MMAP_THRESHOLD}, {GIB}))") == "0":
        pytest.skip("an older GNU allocator refuses blocks so large")
    plain = {name: value for name, value in os.environ.items() if name not in ALLOCATOR_SETTINGS}
    assert (int(run_python(COUNT_FAULTS, plain | given)) < LARGE_PAGES // 2) == kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than GNU's is left as it is")
def test_what_is_kept_is_given_back_when_asked() -> None:
    plain = {name: value for name, value in os.environ.items() if name not in ALLOCATOR_SETTINGS}
    assert int(run_python(GIVE_BACK, plain)) < 64
