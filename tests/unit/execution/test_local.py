"""The executor of this process: what it builds of a recipe's stage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch

from dunwu import algorithms, registry
from dunwu.config.schema import ModelSpec, RLStage, ServedModel
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.execution.local import LocalExecutor, use_threads
from dunwu.kernels.library import explain_absence
from dunwu.machine import usable_cores
from dunwu.models.load import load_policy
from dunwu.models.policy import Policy
from dunwu.rollout.builtin.worker_threads import build_builtin_engine

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
    trainer = executor.build_policy_trainer(stage, policy, algorithms.build(stage.algorithm, max_new_tokens=8), seed=0)
    engine = executor.build_engine(policy, max_sequences=2)
    assert (trainer.policy_version, engine.policy_version) == (0, 0)
    engine.update_weights(trainer.export_weights())
    engine.close()
    missing = explain_absence()
    assert lines == ([missing] if missing else []), "nothing is wrong with the base that comes with the package"


def test_an_engine_may_have_weights_of_another_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.engines, "_entries", dict(registry.engines._entries))
    seen: list[Policy] = []

    @registry.engines.register("seeing")
    def build(policy: Policy, *, max_sequences: int) -> Any:
        seen.append(policy)
        return build_builtin_engine(policy, max_sequences=max_sequences)

    executor = LocalExecutor(ModelSpec(device="cpu", engine="seeing"), print)
    policy = load_policy("nano-base", device="cpu")
    for dtype in ("bfloat16", "float32", None):
        executor.build_engine(policy, max_sequences=2, dtype=dtype)
    assert [other.model.dtype for other in seen] == [torch.bfloat16, torch.float32, torch.float32]
    assert policy.model.dtype == torch.float32
    assert seen[0].model.model.rotary_emb.inv_freq.equal(policy.model.model.rotary_emb.inv_freq)
    assert seen[1] is policy


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda policy, max_sequences: None, "odd gives NoneType, no engine: it has no method generate"),
        (lambda policy: None, "odd raised TypeError: .*unexpected keyword argument 'max_sequences'"),
        (lambda policy, max_sequences: sys.exit(0), r"odd raised SystemExit: 0 \(test_local.py, line"),
    ],
    ids=["nothing", "arguments", "exits"],
)
def test_what_builds_no_engine_is_refused(build: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.engines, "_entries", dict(registry.engines._entries))
    registry.engines.register("odd")(build)
    executor = LocalExecutor(ModelSpec(engine="odd"), print)
    with pytest.raises(UserError, match=f"^model.engine: {message}"):
        executor.build_engine(cast(Policy, object()), max_sequences=2)


def test_a_server_is_not_asked_before_somebody_wants_an_answer() -> None:
    executor = LocalExecutor(ModelSpec(), print)
    engine = executor.connect_engine(ServedModel(url="http://127.0.0.1:9/v1", model="m"))
    assert engine.record is None
