"""How many devices roll out for one that trains: what the plan says, and where it says nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dunwu.config.loader import load_recipe
from dunwu.models.shape import PUBLISHED
from dunwu.planning import StagePlan, make_plan
from dunwu.planning.accelerators import ACCELERATORS
from dunwu.planning.simulator import split
from dunwu.planning.simulator.records import Lengths, Work
from dunwu.planning.simulator.split import find_split
from dunwu.planning.stage_rows import list_stage_rows

RECIPE = Path(__file__).parents[3] / "recipes" / "paper" / "r1-zero.toml"
SMALL = (
    "stages.zero.from=Qwen/Qwen2.5-1.5B",
    "stages.zero.rollout.questions=64",
    "stages.zero.rollout.max_new_tokens=2048",
    "stages.zero.rollout.length_schedule={}",
    "hardware.device=h100",
)
WORK = Work(
    shape=PUBLISHED["Qwen/Qwen2.5-1.5B"],
    questions=64,
    group_size=16,
    lengths=Lengths(mean=500, sigma=1.5, cap=2048, prompt=100),
    minibatches=2,
)


def plan_stage(overrides: Sequence[str]) -> StagePlan:
    """Plan R1-Zero's stage with some of its fields changed."""
    (stage,) = make_plan(load_recipe(RECIPE, [*SMALL, *overrides])).stages
    return stage


def test_a_plan_for_several_gpus_says_how_to_divide_them() -> None:
    stage = plan_stage(["hardware.count=16"])
    (line,) = [text for label, text in list_stage_rows(stage) if label == "split"]
    form = (
        r"(\d+) devices? to roll out, (\d+) to train \(([\d.]+) to 1\): "
        r"a rollout in ([\d,]+) s at max_staleness 1, in ([\d,]+) s with all by turns; simulated"
    )
    found = re.fullmatch(form, line)
    assert found
    rollout, trainer, ratio, _, _ = (float(text.replace(",", "")) for text in found.groups())
    assert rollout + trainer == 16
    assert ratio == pytest.approx(rollout / trainer, rel=0.05)
    assert stage.as_json()["split"] == line


@pytest.mark.parametrize("override", ["hardware.count=1", "hardware.device=cpu", "stages.zero.from=nobody/knows"])
def test_a_plan_says_nothing_where_there_is_nothing_to_divide(override: str) -> None:
    assert "split" not in plan_stage(["hardware.count=16", override]).details


def test_the_best_split_is_the_best_of_all() -> None:
    """The search looks where rollout and training take as long; every split that it may choose is tried here."""

    found = find_split(WORK, "h100", 16)
    assert found is not None
    device = ACCELERATORS["h100"]
    lengths = WORK.lengths.draw(np.random.default_rng(0), WORK.answers)
    every = {
        rollout: max(split._simulate(WORK, split._make_layout(device, rollout, 16 - rollout, 1), lengths))
        for rollout in range(1, 16)
    }
    assert found.seconds == pytest.approx(min(every.values()), rel=0.02)
    assert found.seconds == every[found.rollout_devices]
    assert found.seconds < found.together


def test_more_to_learn_takes_more_trainers() -> None:
    few, many = (find_split(replace(WORK, training_passes=passes), "h100", 16) for passes in (3, 30))
    assert few is not None
    assert many is not None
    assert many.trainer_devices > few.trainer_devices


def test_a_rollout_that_takes_long_to_simulate_has_no_split() -> None:
    assert "split" not in plan_stage(["hardware.count=16", "stages.zero.rollout.questions=100000"]).details


def test_a_model_that_fills_the_devices_has_no_split() -> None:
    work = replace(WORK, shape=PUBLISHED["deepseek-ai/DeepSeek-V3-Base"])
    assert find_split(work, "h800", 64) is None
    found = find_split(work, "h800", 512)
    assert found is not None
    assert found.rollout_devices % 32 == 0  # engines of 32 devices hold the weights in half of their memory
    assert found.trainer_devices * 80 * 2**30 >= 18 * work.shape.parameters
