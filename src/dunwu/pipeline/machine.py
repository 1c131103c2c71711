"""What a run is made on, as its manifest keeps it: times and speeds mean nothing without it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TypedDict

import torch


class Machine(TypedDict):
    """The processor's name, the cores that this process may use, memory in GiB, and the names of its accelerators."""

    processor: str
    cores: int
    memory_gib: int
    accelerators: list[str]


def describe_machine() -> Machine:
    """Describe this machine, as far as its system tells; nothing in it names the machine or its owner.

    Returns:
        The description.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Machine(
        processor=_processor(),
        cores=cores,
        memory_gib=_memory_gib(),
        accelerators=[torch.cuda.get_device_name(number) for number in range(count)],
    )


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _memory_gib() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):  # not every system has these names
        return 0
