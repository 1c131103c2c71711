"""The optional extension: kernels for the CPU, compiled once for each instruction set (src/dunwu/kernels)."""

import platform
import runpy
from pathlib import Path

from setuptools import Extension, setup

OPTIONS = ["-std=c++17", "-O3", "-g0", "-fopenmp"]
INSTRUCTION_SETS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    INSTRUCTION_SETS["avx2"] = ["-mavx2", "-mfma"]
    INSTRUCTION_SETS["avx512"] = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma"]
    INSTRUCTION_SETS["avx512_bf16"] = [*INSTRUCTION_SETS["avx512"], "-mavx512bf16"]
helpers = runpy.run_path("src/dunwu/kernels/sources.py")
files = [path.resolve().relative_to(Path.cwd()) for path in helpers["list_sources"]()]

setup(
    ext_modules=[
        Extension(
            f"dunwu.kernels._{name}",
            sources=[str(path) for path in files if path.suffix == ".cpp"],
            depends=[str(path) for path in files if path.suffix == ".h"],
            language="c++",
            define_macros=[("DUNWU_SOURCES", f'"{helpers["hash_sources"]()}"')],
            extra_compile_args=[*OPTIONS, *flags],
            extra_link_args=["-fopenmp"],
            optional=True,  # without a compiler, torch does the same work
        )
        for name, flags in INSTRUCTION_SETS.items()
    ]
)
