"""A small valid recipe to break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

VALID = """
name = "small"
seed = 7

[stages.base]
kind = "pretrain"
corpus = "countdown-traces"
tokens = 100_000
transformer = { hidden_size = 128, layers = 4, heads = 4, kv_heads = 2, intermediate_size = 384 }

[stages.zero]
kind = "rl"
from = "base"
steps = 32
reference_every = 16

[[stages.zero.tasks]]
task = "countdown"
levels = [3]

[[stages.zero.tasks]]
task = "gsm8k"
path = "data/train.jsonl"

[stages.zero.rollout]
questions = 8
group_size = 4
max_new_tokens = 96

[stages.zero.prompt]
max_tokens = 64

[stages.zero.update]
minibatches = 4

[[stages.zero.evaluation.sets]]
name = "same"
task = { task = "countdown", levels = [3] }
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the valid recipe with texts replaced, and its data file; returns the recipe's path."""

    def _write(*changes: tuple[str, str]) -> Path:
        text = VALID
        for old, new in changes:
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the recipe"
            text = text.replace(old, new)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "train.jsonl").write_text('{"question": "1+1?", "answer": "#### 2"}\n')
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return _write
