"""The machine that a run is made on, as its manifest keeps it: times and speeds mean nothing without it."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import re
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

GIB = 2**30
Dtype = Literal["float32", "bfloat16"]
"""The types that weights can have."""
AskedDtype = Literal["auto", Dtype]
"""What may be asked for; ``auto``: what the processor multiplies faster."""
CONTROL_GROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container may use, versions 2 and 1."""


STATUS = Path("/proc/self/status")
SPINS = "1000"
"""Turns of GNU OpenMP's waiting loop before a thread sleeps: tens of microseconds, as long as waking one takes."""


ALLOCATOR_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Variables by which a user sets GNU's allocator."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of ``mallopt``: free bytes at the heap's end that are given back, and those of a block of its own."""


class MachineRecord(TypedDict):
    """The processor's name, cores that this process may use, memory in GiB, accelerators' names, the CPU's kernels."""

    processor: str
    cores: int
    memory_gib: int
    accelerators: list[str]
    kernels: str


def describe_machine(accelerators: Sequence[str], kernels: str) -> MachineRecord:
    """Describe this machine, as far as its system tells; nothing in it names the machine or its owner.

    Args:
        accelerators: names of its devices beside the CPU.
        kernels: the instruction set that the CPU's kernels were compiled for; empty where torch does their work.

    Returns:
        The description.
    """
    return MachineRecord(
        processor=_processor(),
        cores=usable_cores(),
        memory_gib=round(usable_memory_gib() or 0),
        accelerators=list(accelerators),
        kernels=kernels,
    )


def let_waiting_threads_sleep() -> None:
    """Have threads sleep that wait long for each other, unless the user has set this otherwise.

    Torch's OpenMP reads this when it is loaded. Threads that spin starve beside a busy process: on two cores the
    engine made 1,000 tokens/s so, and 10,500 with waiting threads asleep. To wake one takes longer than a small product
    does, so they spin for some microseconds first: asleep at once, a rollout of SmolLM2 took half as long again.
    """
    if not os.environ.get("OMP_WAIT_POLICY"):
        # GNU's OpenMP takes the spins before the policy. But where a second thread computes, such as a server's engine,
        # there are more threads than cores, and it takes spins of its own: none where the policy is PASSIVE.
        os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        os.environ.setdefault("KMP_BLOCKTIME", "0")  # LLVM's, which would spin for ever


def keep_freed_memory() -> None:
    """Have GNU's allocator keep what is freed, for the next tensor, unless the user has set this otherwise.

    By itself it gives a large block back to the system, which clears every page of the next one: of an update of
    SmolLM2 that was a twelfth of the time. Other allocators are left as they are.
    """
    if any(map(os.environ.get, ALLOCATOR_SETTINGS)) or platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    # Older ones refuse more than 32 MiB. The other setting alone would end what they adapt by themselves.
    if library.mallopt(M_MMAP_THRESHOLD, GIB):
        library.mallopt(M_TRIM_THRESHOLD, 2 * GIB - 1)  # an int: the most that it takes


def give_memory_back() -> None:
    """Have GNU's allocator give the system what it keeps and nobody uses; other allocators are left as they are."""
    gc.collect()  # models hold themselves in circles
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def usable_cores() -> int:
    """Count the cores that this process may use; where the system does not tell, all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_peak_memory() -> int:
    """Return the most bytes of memory that this process has held; 0 where the system does not tell."""
    try:
        status = STATUS.read_text()
    except OSError:
        # Bytes on macOS. Linux has it too, but a child begins with its parent's.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if sys.platform == "darwin" else 0
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def read_cpu_flags() -> set[str]:
    """Read which instruction sets the processor has, by Linux's names; empty where the system does not tell."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def usable_memory_gib() -> float | None:
    """Find how much memory this process may use, by the system and the container; None: not known."""
    try:
        memory: int | None = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # no such names here
        memory = None
    limits = [int(text) for file in CONTROL_GROUPS if (text := _read(file)).isdecimal()]
    known = [value for value in (memory, *limits) if value]
    return min(known) / GIB if known else None


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
