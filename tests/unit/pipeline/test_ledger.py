"""What a stage cost: by hand for a tiny shape, over processes, and as a table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dunwu.analysis import costs as table
from dunwu.analysis.paper_costs import describe_paper_costs
from dunwu.config.schema import RLStage, SFTStage
from dunwu.models.flops import count_training_passes
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.runs import Cost, RunWriter
from dunwu.types import Completion, Problem, Prompt, RolloutGroup, Score, ScoredGroup

from .conftest import SHAPED, STAGE

RECIPE = {
    "name": "r",
    "stages": {"zero": {}},
    "hardware": {"device": "h800", "count": 4, "dollars_per_hour": 2.0},
}


def begin(folder: Path) -> RunWriter:
    return RunWriter.create(folder, recipe_text="", recipe_json=RECIPE, seed=1, versions={})


def group(prompt: int, *lengths: int) -> ScoredGroup:
    problem = Problem(id="p", task="t", kind="math", level=0, language="en", messages=(), gold="1")
    made = [np.zeros(length, np.int32) for length in lengths]
    completions = tuple(
        Completion(token_ids=ids, logprobs=ids.astype(np.float32), text="", finish="stop") for ids in made
    )
    score = Score(value=0.0, parts={}, status="graded", extracted=None, reason="")
    prompted = Prompt(problem=problem, token_ids=np.zeros(prompt, np.int32))
    return ScoredGroup(group=RolloutGroup(prompt=prompted, completions=completions), scores=(score,) * len(lengths))


def test_a_rollout_is_spent_by_its_modules(tmp_path: Path) -> None:
    """Two updates a rollout and a KL term: old policy and reference are passes over everything."""
    stage = RLStage.model_validate(STAGE | {"algorithm": {"kl_coefficient": 0.01}, "update": {"minibatches": 2}})
    with begin(tmp_path) as run:
        store = run.stage("zero")
        ledger = CostLedger(store, SHAPED)
        seconds = {"rollout": 3.0, "rewards": 0.5, "logprobs": 1.0, "update": 2.0, "weights": 0.25}
        ledger.record_rollout(2, stage, [group(10, 20, 40), group(6, 4, 8)], seconds)
        spent = store.read_costs()
    tokens = 72 + 16
    flops = spent["rollout"].flops
    assert {name: one.tokens for name, one in spent.items()} == {
        "rollout": 72,
        "reward": 0,
        "inference": 2 * tokens,
        "training": tokens,
    }
    assert {name: one.seconds for name, one in spent.items()} == {
        "rollout": 3.0,
        "reward": 0.5,
        "inference": 1.0,
        "training": 2.25,
    }
    assert flops > 2 * 500 * tokens
    assert spent["inference"].flops == pytest.approx(2 * flops)
    assert spent["training"].flops == pytest.approx(3 * flops)


def test_a_value_network_is_another_policy_and_what_is_replayed_is_learnt_from_again(tmp_path: Path) -> None:
    value = {"optimizer": {"lr": 1e-3}}
    lean = {"algorithm": {"kl_coefficient": 0.0, "advantage": "gae"}, "update": {"minibatches": 1}, "value": value}
    stage = RLStage.model_validate(STAGE | lean)
    with begin(tmp_path) as run:
        store = run.stage("zero")
        CostLedger(store, SHAPED).record_rollout(1, stage, [group(10, 30)], {}, replayed=60)
        spent = store.read_costs()
    assert (spent["rollout"].tokens, spent["training"].tokens) == (30, 40 + 60)
    assert spent["inference"].tokens == 100, "the value network reads everything once before it learns"
    assert spent["training"].flops == pytest.approx(2 * 3 * 2.5 * spent["rollout"].flops)


def test_what_reward_models_read_is_inference(tmp_path: Path) -> None:
    """Of the seconds that rewards were waited for, theirs are booked with what they read, once."""

    taken = iter([(0.2, [30, 50]), (0.0, [])])
    judge: Any = SimpleNamespace(model=SHAPED, take_cost=lambda: next(taken))
    stage = RLStage.model_validate(STAGE)
    with begin(tmp_path) as run:
        store = run.stage("zero")
        ledger = CostLedger(store, SHAPED)
        ledger.record_rollout(1, stage, [group(10, 20)], {"rewards": 0.5}, judges=[judge])
        once = store.read_costs()
        ledger.record_judges(1, [judge])
        assert store.read_costs() == once
    assert once["reward"].seconds == pytest.approx(0.3)
    assert once["inference"].seconds == pytest.approx(0.2)
    assert once["inference"].tokens == 80 + 2 * 30  # the old policy and the reference read the rollout's
    assert once["inference"].flops == pytest.approx(
        80 * once["rollout"].flops / 30 + 2 * once["rollout"].flops, rel=0.1
    )


def test_work_that_was_done_twice_was_paid_for_twice(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        store = run.stage("zero")
        ledger = CostLedger(store, SHAPED)
        for _ in range(2):
            ledger.record_training(4, 1.5, [10, 20], passes=3)
            store.rewind(0)
        (tmp_path / "stages/zero/ledger.jsonl").open("a").write('{"step": 9, "tr')
        store.rewind(0)
        ledger.record_training(4, 1.5, [10, 20], passes=4)
        spent = store.read_costs()["training"]
    assert (spent.seconds, spent.tokens) == (4.5, 90)
    once = spent.flops / (3 + 3 + 4)
    assert spent.flops == pytest.approx(10 * once)


def test_learning_is_worth_three_forward_passes_and_fewer_with_an_adapter() -> None:
    counts = [
        count_training_passes(SFTStage.model_validate({"kind": "sft", "from": "m", "data": ["d"], **more}))
        for more in ({}, {"update": {"gradient_checkpointing": True}}, {"adapter": {"rank": 1}})
    ]
    assert counts == [3, 4, 2]


def test_hours_energy_and_dollars_are_those_of_every_device(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        store = run.stage("zero")
        store.append_costs(1, {"training": Cost(1800.0, 5, 1e9), "rollout": Cost(3600.0, 7, 1e9)})
        found = list(table.read_costs(run))
    assert [line.module for line in found] == ["rollout", "training"]
    everything = table.sum_costs(found)
    assert everything.device_hours == pytest.approx(4 * 1.5)
    assert everything.kilowatt_hours == pytest.approx(4 * 1.5 * 0.7)
    assert everything.dollars == pytest.approx(12.0)
    assert table.format_costs(everything) == ("12", "2e+09", "6", "4.2", "12")
    assert "147K in all, $294K at $2" in describe_paper_costs()
