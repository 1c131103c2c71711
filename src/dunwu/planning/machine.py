"""What this machine has, beside what a recipe asks for. Nothing here refuses a run: it may be for another machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from dunwu.config.schema import Recipe
from dunwu.machine import usable_memory_gib
from dunwu.planning.memory import Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Memory that may be used, and that of each NVIDIA device that can be seen, in GiB; None: not known."""

    memory_gib: float | None
    gpus_gib: tuple[float, ...]


def inspect_machine() -> Machine:
    """Look at this machine: memory as the system and the container say, devices as nvidia-smi lists them."""
    return Machine(memory_gib=usable_memory_gib(), gpus_gib=tuple(_gpus()))


def _gpus() -> Iterator[float]:
    """Yield the memory of each device in GiB; nothing where there is none, or none may be seen."""
    program = shutil.which("nvidia-smi")
    if program is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return
    query = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return
    yield from (int(line) / 1024 for line in listed.split() if line.isdecimal())


def find_shortfalls(recipe: Recipe, memory: dict[str, Memory | None], machine: Machine) -> Iterator[str]:
    """Say what a recipe asks for that is not here.

    Args:
        recipe: Validated.
        memory: What each stage needs at most, by its name; None where it is not known.
        machine: The one that the recipe would run on now.
    """
    adapted = [name for name, stage in recipe.stages.items() if getattr(stage, "adapter", None)]
    if adapted and find_spec("peft") is None:
        yield f"{_named(adapted)} for an adapter, and peft is not installed: pip install 'dunwu[lora]'"
    asking = [name for name, stage in recipe.stages.items() if stage.model.device == "cuda"]
    if not machine.gpus_gib:
        if asking:
            yield (
                f"no NVIDIA device is found, and {_named(asking)} with model.device = cuda: "
                "dunwu run would refuse it here; --set stages.NAME.model.device=auto takes the CPU"
            )
        elif recipe.hardware.device != "cpu":
            yield f"no NVIDIA device is found: dunwu run would take the CPU, not {recipe.hardware.device}"
    for name, needed in memory.items():
        on_gpu = bool(machine.gpus_gib) and recipe.stages[name].model.device != "cpu"
        there = max(machine.gpus_gib) if on_gpu else machine.memory_gib
        if needed is None or there is None or (name in asking and not on_gpu):
            continue
        each = needed.gib / (recipe.hardware.count if on_gpu else 1)
        if each > there:
            place = "its largest NVIDIA device" if on_gpu else "memory"
            yield (
                f"{name} may need {each:,.1f} GiB, and this machine has {there:,.1f} GiB in {place}: "
                "lower max_sequences, update.tokens_per_microbatch or max_new_tokens"
            )


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} {'asks' if len(names) == 1 else 'ask'}"
