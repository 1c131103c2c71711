"""The kernels' builds: one an instruction set, and which of them this processor can run. Nothing here needs torch."""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

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


def list_builds() -> list[str]:
    """List the builds that are here and that this processor can run, the best first; none where switched off."""
    if os.environ.get(SWITCH) == "off":
        return []
    flags = read_cpu_flags()
    return [name for name, needed in INSTRUCTION_SETS.items() if needed <= flags and find_build(name)]


def find_build(name: str) -> Path | None:
    """Find the file that was built for an instruction set."""
    folder = Path(__file__).parent
    return next((path for suffix in EXTENSION_SUFFIXES if (path := folder / f"_{name}{suffix}").is_file()), None)


def multiplies_bfloat16() -> bool:
    """Tell whether products take less time in bfloat16 here than in float32."""
    return BFLOAT16 in list_builds()
