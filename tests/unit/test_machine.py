"""What a process is set to before torch is loaded."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

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
LARGE_PAGES = 8 * 32
"""The fewest that so many blocks have: pages of 2 MiB."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than GNU's is left as it is")
@pytest.mark.parametrize(
    ("given", "kept"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "131072"}, False)], ids=["by itself", "set by the user"]
)
def test_freed_memory_is_kept_unless_the_user_says_otherwise(given: dict[str, str], kept: bool) -> None:
    names = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"}
    plain = {name: value for name, value in os.environ.items() if name not in names}
    run = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS], env=plain | given, capture_output=True, text=True, check=True
    )
    assert (int(run.stdout) < LARGE_PAGES // 2) == kept
