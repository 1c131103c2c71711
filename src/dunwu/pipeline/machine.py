"""What a run is made on, as its manifest keeps it: times and speeds mean nothing without it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TypedDict

import torch

from dunwu.planning.machine import usable_memory_gib


class MachineRecord(TypedDict):
    """The processor's name, the cores that this process may use, memory in GiB, and the names of its accelerators."""

    processor: str
    cores: int
    memory_gib: int
    accelerators: list[str]


def describe_machine() -> MachineRecord:
    """Describe this machine, as far as its system tells; nothing in it names the machine or its owner.

    Returns:
        The description.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return MachineRecord(
        processor=_processor(),
        cores=cores,
        memory_gib=round(usable_memory_gib() or 0),
        accelerators=[torch.cuda.get_device_name(number) for number in range(count)],
    )


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
