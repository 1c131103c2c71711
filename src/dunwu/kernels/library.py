"""Finds and loads the compiled kernels, an optional extension of the wheel; without it torch does the same work.

The sources are compiled once for each instruction set (setup.py), and the best one that this processor has is loaded.
They call no Python and no torch: pointers and sizes go in, and ctypes lets other threads run meanwhile.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch  # first of all: torch's OpenMP is the one that the kernels shall share
from torch import Tensor

from dunwu.kernels.builds import INSTRUCTION_SETS, SWITCH, find_best_build, find_build

_LETTERS = {"p": ctypes.c_void_p, "i": ctypes.c_int, "l": ctypes.c_int64, "f": ctypes.c_float}
SIGNATURES = {
    "dunwu_rms_norm": "ppppllf",
    "dunwu_rms_norm_backward": "pppppplli",
    "dunwu_rotate": "plpppppfpliii",
    "dunwu_rotate_backward": "pplpppppfppliiii",
    "dunwu_swiglu": "ppll",
    "dunwu_swiglu_backward": "ppppll",
    "dunwu_attend": "plplplpppppliiifpp",
    "dunwu_attend_backward": "plplpppppliiifppppplli",
    "dunwu_score": "ppfpppll",
    "dunwu_score_backward": "ppfppll",
    "dunwu_draw": "ppfppll",
    "dunwu_decode": "pplpppplliiifp",
    "dunwu_pack": "pllplll",
    "dunwu_multiply": "ppppllli",
    "dunwu_pack_pairs": "pllplll",
    "dunwu_pack_bfloat16": "pllplll",
    "dunwu_multiply_pairs": "pllpppllli",
    "dunwu_predict": "pppl",
    "dunwu_run_step": "pppppppllpp",
    "dunwu_read_tree": "pppppplpppppllpppp",
}
"""Function -> the types of its arguments, as in source/*.cpp: p pointer, i int, l int64, f float."""


@lru_cache(maxsize=1)
def load_kernels() -> ctypes.CDLL | None:
    """Load the kernels for this processor; None where they were not built, are out of date, or are switched off."""
    path = find_build(find_best_build())
    return open_library(path) if path else None


def explain_absence() -> str:
    """Say in a line why no kernels are used; empty where they are, or were switched off."""
    if find_best_build() or os.environ.get(SWITCH) == "off":
        return ""
    why = "were built from other sources" if any(map(find_build, INSTRUCTION_SETS)) else "are not built"
    return (
        f"the CPU's kernels {why}: torch does their work, and takes longer; installing with a C++ compiler builds them"
    )


def open_library(path: Path) -> ctypes.CDLL:
    """Open an extension and declare its functions."""
    library = ctypes.CDLL(str(path))
    for name, letters in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = [_LETTERS[letter] for letter in letters], None
    library.dunwu_scratch_width.argtypes, library.dunwu_scratch_width.restype = [ctypes.c_void_p], ctypes.c_int64
    return library


def vector_width() -> int:
    """Return how many numbers the loaded kernels work on at once: widths must be multiples of it."""
    library = load_kernels()
    return 1 if library is None else int(library.dunwu_vector_width())


def panel_width() -> int:
    """Return how many rows of a matrix make a panel of a packed one."""
    return int(_require().dunwu_panel_width())


def count_scratch(network: int) -> int:
    """Count the floats that a token takes between the products of a network, which lies at this address."""
    return int(_require().dunwu_scratch_width(network))


def call_kernel(name: str, *arguments: Tensor | np.ndarray | float | None) -> None:
    """Call a kernel: tensors and arrays by their addresses."""
    getattr(_require(), name)(*(_address(argument) for argument in arguments))


def _require() -> ctypes.CDLL:
    library = load_kernels()
    assert library is not None, "no kernels: ask load_kernels first"
    return library


def _address(argument: Tensor | np.ndarray | float | None) -> float | None:
    if isinstance(argument, Tensor):
        assert argument.is_contiguous(), "a kernel reads numbers that lie side by side"
        return argument.data_ptr()
    return argument.ctypes.data if isinstance(argument, np.ndarray) else argument


def count_threads() -> int:
    """Return how many threads a kernel called from this thread works with: as many as torch."""
    return torch.get_num_threads()
