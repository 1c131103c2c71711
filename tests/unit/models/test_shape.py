"""Sizes of models: computed without torch, because planning a run and reading its costs must not load it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dunwu

BLOCKED = """
import sys
sys.modules.update(dict.fromkeys(("torch", "transformers", "numpy")))
from dunwu.models.flops import count_forward_flops, count_worker_threads
from dunwu.models.shape import find_shape
shape = find_shape("Qwen/Qwen2.5-0.5B")
print(shape.parameters, count_forward_flops(shape, 0.0), count_worker_threads(shape.parameters, 8, 64))
"""


def test_sizes_are_known_with_torch_blocked() -> None:
    environment = {"PYTHONPATH": str(Path(dunwu.__file__).parents[1]), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["494032768", str(2 * 494032768.0), "1"]
