"""Engines' hosts for workers of the tests: what a worker makes must be found by its name."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from dunwu.models.load import load_policy
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.workers.host import EngineHost


def make_host(folder: Path) -> EngineHost:
    """A host of the built-in engine, on one thread, with a model's weights."""
    torch.set_num_threads(1)
    return EngineHost(partial(TorchEngine, load_policy(str(folder)), max_sequences=4))
