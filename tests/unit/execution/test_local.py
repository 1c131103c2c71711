"""The executor of this process: what it builds of a recipe's stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from dunwu import algorithms
from dunwu.config.schema import ModelSpec, RLStage, ServedModel
from dunwu.execution.executor import open_executor
from dunwu.execution.local import LocalExecutor, use_threads
from dunwu.machine import usable_cores

STAGE: dict[str, Any] = {"kind": "rl", "from": "nano-base", "steps": 2, "tasks": [{"task": "countdown", "levels": [3]}]}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_an_executor_takes_the_threads_that_its_stage_asks_for() -> None:
    open_executor(ModelSpec(threads=1), print)
    assert torch.get_num_threads() == 1
    use_threads(0)
    assert torch.get_num_threads() == usable_cores()


def test_engine_and_trainer_start_at_the_version_of_their_policy() -> None:
    lines: list[str] = []
    executor = LocalExecutor(ModelSpec(device="cpu"), lines.append)
    stage = RLStage.model_validate(STAGE)
    policy = executor.open_policy("nano-base", longest=64, learns=True, generates=True)
    trainer = executor.build_policy_trainer(stage, policy, algorithms.build(stage.algorithm, max_new_tokens=8))
    engine = executor.build_engine(policy, max_sequences=2)
    assert (trainer.policy_version, engine.policy_version) == (0, 0)
    engine.update_weights(trainer.export_weights())
    engine.close()
    assert lines == [], "nothing is wrong with the base that comes with the package"


def test_a_server_is_not_asked_before_somebody_wants_an_answer() -> None:
    executor = LocalExecutor(ModelSpec(), print)
    engine = executor.connect_engine(ServedModel(url="http://127.0.0.1:9/v1", model="m"))
    assert engine.record is None
