"""The kernels' builds: one an instruction set, and which of them this processor can run. Nothing here needs torch."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from dunwu.kernels.sources import hash_sources, list_sources
from dunwu.machine import read_cpu_flags

SWITCH = "DUNWU_KERNELS"
"""``off`` in the environment leaves the kernels unused."""
BFLOAT16 = "avx512_bf16"
"""The build whose products are faster in bfloat16 than in float32."""
INSTRUCTION_SETS = {
    BFLOAT16: {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16"},
    "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq"},
    "avx2": {"avx2", "fma"},
    "baseline": set[str](),
}
"""Build -> what the processor must have for it; the best first."""


@lru_cache(maxsize=1)
def find_best_build() -> str:
    """Name the best build that is here, up to date, and that this processor can run; empty: none, or switched off."""
    if os.environ.get(SWITCH) == "off":
        return ""
    flags = read_cpu_flags()
    return next((name for name, needed in INSTRUCTION_SETS.items() if needed <= flags and is_current(name)), "")


def is_current(name: str) -> bool:
    """Whether a build is here and of the sources that lie here; where none do, it is as it was packed."""
    path = find_build(name)
    if path is None or not list_sources():
        return path is not None
    return hash_sources().encode() in path.read_bytes()  # to ask it would load it, and OpenMP before torch's


def find_build(name: str) -> Path | None:
    """Find the file that was built for an instruction set."""
    folder = Path(__file__).parent
    return next((path for suffix in EXTENSION_SUFFIXES if (path := folder / f"_{name}{suffix}").is_file()), None)


def multiplies_bfloat16() -> bool:
    """Tell whether products take less time in bfloat16 here than in float32."""
    return find_best_build() == BFLOAT16
