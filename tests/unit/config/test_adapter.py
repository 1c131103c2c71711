"""An adapter in a recipe: its fields, what does not go with it, and what a plan says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.config.model_folders import QWEN2, save_model

from dunwu.config.loader import load_recipe
from dunwu.errors import UserError
from dunwu.planning import GIB, make_plan
from dunwu.planning.stage_plan import StagePlan
from dunwu.planning.stage_rows import list_stage_rows

Write = Callable[..., Path]
QWEN2_SIDES = 2 * (896 + 896) + 2 * (896 + 128) + 3 * (896 + 4864)
"""Rows and columns of a layer's matrices: q and o, k and v, gate, up and down."""


def plan(write: Write, folder: Path, *overrides: str) -> StagePlan:
    recipe = load_recipe(write(), [f"stages.zero.from={folder}", *(f"stages.zero.{text}" for text in overrides)])
    return make_plan(recipe).stages[1]


@pytest.mark.parametrize("rank", ["0", "65", "1.5"])
def test_a_rank_is_a_number_from_1_to_64(write: Write, rank: str) -> None:
    with pytest.raises(UserError, match=rf"stages\.zero\.adapter\.rank={rank}: "):
        load_recipe(write(), [f"stages.zero.adapter.rank={rank}"])


def test_muon_updates_no_adapter(write: Write) -> None:
    with pytest.raises(UserError, match=r"stages\.zero\.optimizer\.name.*muon is for whole matrices"):
        load_recipe(write(), ["stages.zero.adapter.rank=4", "stages.zero.optimizer.name=muon"])
    value = "stages.zero.value={optimizer={name='muon'}}"
    with pytest.raises(UserError, match=r"value\.optimizer\.name.*muon is for whole matrices|value.*muon is for whole"):
        load_recipe(write(), ["stages.zero.adapter.rank=4", "stages.zero.algorithm.advantage=gae", value])


def test_the_rank_is_held_to_the_smallest_side(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", QWEN2 | {"num_key_value_heads": 1, "head_dim": 32})
    assert plan(write, folder, "adapter.rank=32").issues == ()
    (issue,) = plan(write, folder, "adapter.rank=33").issues
    assert (issue.field, issue.message) == ("adapter.rank", "33 is more than a side of a matrix of 32 x 896")


def test_memory_by_hand(write: Write, tmp_path: Path) -> None:
    folder, numbers = save_model(tmp_path / "model", QWEN2), 24 * 8 * QWEN2_SIDES
    chosen = ("adapter.rank=8", "model.dtype=bfloat16")
    memory, full = (plan(write, folder, *more).memory for more in (chosen, chosen[1:]))
    assert memory is not None
    assert full is not None
    parts = memory.parts_gib()
    assert parts["weights"] == pytest.approx((494_032_768 + numbers) * 2 / GIB)
    assert parts["gradients"] == pytest.approx(numbers * 4 / GIB)
    assert parts["optimizer"] == pytest.approx(numbers * 12 / GIB)
    assert parts["reference"] == pytest.approx(numbers * 2 / GIB), "a copy of the adapter, since the reference moves"
    assert parts["engine"] == pytest.approx(full.parts_gib()["engine"])
    kept = plan(write, folder, *chosen, "reference_every=0").memory
    assert kept is not None
    assert kept.reference == 0, "the base is the reference"


def test_hours_count_no_gradients_of_frozen_matrices(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", QWEN2)
    full, adapted = (
        plan(write, folder, "evaluation.sets=[]", *more).device_hours for more in ((), ("adapter.rank=8",))
    )
    assert full is not None
    assert adapted is not None
    flops = 2 * 494_032_768 + 4 * 24 * 896 * (64 + 96) / 2
    minibatches = 4 * (1 - 0.75**4)  # of four, in which a group of four lies; 51 answers fit into a microbatch
    tokens = 8 * (32 * 96 + 8 * 64 * (minibatches + (4 - minibatches) / 51))
    assert full - adapted == pytest.approx(tokens * flops / 150e9 / 3600)


def test_a_line_of_the_plan_says_what_learns(write: Write, tmp_path: Path) -> None:
    folder, numbers = save_model(tmp_path / "model", QWEN2), 24 * 8 * QWEN2_SIDES
    rows = dict(list_stage_rows(plan(write, folder, "adapter.rank=8", "optimizer.lr=2e-6")))
    assert rows["adapter"] == (
        f"rank 8, alpha 32, {numbers:,} weights ({numbers / 494_032_768:.1%} of the model's), "
        "learning rate 10 x 2e-06 = 2e-05"
    )
    assert "updates" in rows


def test_a_plan_says_that_peft_is_missing(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dunwu.planning.machine.find_spec", lambda name: None)
    recipe = load_recipe(write(), ["stages.zero.adapter.rank=4"])
    line = "zero asks for an adapter, and peft is not installed: pip install 'dunwu[lora]'"
    assert line in make_plan(recipe).lacks
    assert line not in make_plan(load_recipe(write())).lacks
