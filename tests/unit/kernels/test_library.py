"""Which build is loaded, and what is said where none is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dunwu.kernels import builds, library
from dunwu.kernels.sources import list_sources
from dunwu.machine import read_cpu_flags


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    builds.find_best_build.cache_clear()
    yield
    builds.find_best_build.cache_clear()


def test_the_best_that_the_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "is_current", lambda name: True)
    for flags, name in (({"avx2", "fma", "avx512f"}, "avx2"), ({"avx2"}, "baseline"), (set(), "baseline")):
        monkeypatch.setattr(builds, "read_cpu_flags", lambda flags=flags: flags)
        builds.find_best_build.cache_clear()
        assert builds.find_best_build() == name


@pytest.mark.parametrize(
    ("build", "current", "switch", "fast"),
    [("avx512_bf16", True, "on", True), ("avx512", True, "on", False), ("avx512_bf16", False, "on", False),
     ("avx512_bf16", True, "off", False)],
)  # fmt: skip
def test_bfloat16_is_fast_where_the_build_for_it_is_used(
    monkeypatch: pytest.MonkeyPatch, build: str, current: bool, switch: str, fast: bool
) -> None:
    monkeypatch.setattr(builds, "is_current", lambda name: current)
    monkeypatch.setattr(builds, "read_cpu_flags", lambda: builds.INSTRUCTION_SETS[build])
    monkeypatch.setenv(builds.SWITCH, switch)
    assert builds.multiplies_bfloat16() == fast


def test_switched_off() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from dunwu.kernels.library import *; print([find_best_build(), explain_absence()])"],
        env=os.environ | {builds.SWITCH: "off"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "['', '']\n"


def test_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "find_build", lambda name: None)
    monkeypatch.setattr(library, "find_build", lambda name: None)
    assert builds.find_best_build() == ""
    assert "not built" in library.explain_absence()


def test_built_from_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(map(builds.is_current, builds.INSTRUCTION_SETS)):
        pytest.skip("no kernels are built here")
    monkeypatch.setattr(builds, "hash_sources", lambda: "other")
    assert builds.find_best_build() == ""
    assert "other sources" in library.explain_absence()


def test_every_function_is_declared() -> None:
    """The letters of ``SIGNATURES`` are the arguments of the sources, in their order."""
    letters = {"int": "i", "int64_t": "l", "float": "f"}
    found: dict[str, str] = {}
    for path in list_sources():
        exported = path.read_text(encoding="utf-8").partition('extern "C" {')[2]
        for line in " ".join(exported.split()).split("void dunwu_")[1:]:
            name, _, rest = line.partition("(")
            arguments = rest.partition(")")[0].split(",")
            types = "".join("p" if "*" in argument else letters[argument.split()[-2]] for argument in arguments)
            assert found.setdefault(f"dunwu_{name}", types) == types, path.name
    assert found == library.SIGNATURES


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_no_sanitizer_finds_anything(tmp_path: Path) -> None:
    """The other tests of this room again, with every access to memory watched."""
    flags = ["-std=c++17", "-O1", "-g", "-fPIC", "-shared", "-fopenmp", "-mavx2", "-mfma", '-DDUNWU_SOURCES="test"']
    watched = tmp_path / "watched.so"
    sources = [str(path) for path in list_sources() if path.suffix == ".cpp"]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    if not {"avx2", "fma"} <= read_cpu_flags():
        flags = [flag for flag in flags if not flag.startswith("-m")]
    subprocess.run(["g++", *flags, *sanitizers, *sources, "-o", str(watched)], check=True)
    runtime = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    program = f"""
import sys, pytest
from dunwu.kernels import builds, library, operations
opened = library.open_library(library.Path({str(watched)!r}))
library.load_kernels = operations.load_kernels = lambda: opened
builds.INSTRUCTION_SETS.clear()
builds.INSTRUCTION_SETS["watched"] = set()
builds.find_build, builds.is_current = (lambda name: library.Path({str(watched)!r})), (lambda name: True)
tests = [{str(Path(__file__).parent)!r} + name for name in ("/test_operations.py", "/test_network.py")]
sys.exit(pytest.main(["-q", "-x", "-s", "-p", "no:cacheprovider", *tests]))
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"LD_PRELOAD": runtime.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    assert "skipped" not in run.stdout
