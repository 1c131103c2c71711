"""Rollout k is written by the weights of k - s: in this process, beside the updates, stopped anywhere and resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dunwu.errors import Fault, Interrupted
from dunwu.execution.local import LocalExecutor
from dunwu.metrics import Stopwatch
from dunwu.models.weights import WeightUpdate
from dunwu.pipeline.stages.rl import train
from dunwu.pipeline.stages.rl_state import Cursor, resume
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.pipeline.stages.rollout_queue import RolloutQueue
from dunwu.pipeline.stages.weight_history import WeightHistory

from .conftest import Bench, Engine, RecordingTrainer

UPDATES = 2
"""Of a rollout; the stage has 4 rollouts."""


@pytest.fixture(params=[False, True], ids=["inline", "elsewhere"])
def lagging(request: pytest.FixtureRequest, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A stage on the bench, whose rollouts are made here, or in a thread as if engines were elsewhere."""
    monkeypatch.setattr(LocalExecutor, "generates_elsewhere", request.param)
    bench.recipe["evaluation"]["every"] = 0
    bench.recipe["evaluation"]["sets"] = []
    return bench


def engine(parts: RLSystem) -> Engine:
    assert isinstance(parts.engine, Engine)
    return parts.engine


def versions(parts: RLSystem) -> list[int]:
    """The version by which each rollout was written."""
    return [version for _, _, version in engine(parts).log]


@pytest.mark.parametrize(
    ("staleness", "written"),
    [(0, [0, 2, 4, 6]), (1, [0, 0, 2, 4]), (2, [0, 0, 0, 2]), (3, [0, 0, 0, 0]), (9, [0, 0, 0, 0])],
)
def test_a_rollout_is_written_by_the_weights_of_s_rollouts_before(
    lagging: Bench, staleness: int, written: list[int]
) -> None:
    lagging.recipe["rollout"]["max_staleness"] = staleness
    parts = lagging.parts()
    train(parts, Cursor())
    assert versions(parts) == written
    assert parts.trainer.policy_version == 4 * UPDATES
    assert engine(parts).policy_version == 4 * UPDATES, "whoever measures the trained model has its weights"
    rows = parts.context.store.read_metrics()
    assert [row["step"] for row in rows] == [2, 4, 6, 8]


@pytest.mark.parametrize("staleness", [1, 2])
@pytest.mark.parametrize("stopped_in", [0, 2, 4, 6])
def test_a_stopped_stage_goes_on_with_the_weights_that_it_had(lagging: Bench, staleness: int, stopped_in: int) -> None:
    lagging.recipe["rollout"]["max_staleness"] = staleness
    lagging.recipe["checkpoint"]["every"] = UPDATES
    parts = lagging.parts()

    def stop(version: int) -> None:
        if version == stopped_in:
            lagging.stop.requested = True

    trainer = parts.trainer
    assert isinstance(trainer, RecordingTrainer)
    trainer.on_step = stop
    with pytest.raises(Interrupted):
        train(parts, Cursor())
    lagging.stop.requested = False
    again = lagging.parts()
    cursor = resume(again)
    assert cursor.rollout == stopped_in // UPDATES
    train(again, cursor)
    done = cursor.rollout
    expected = [max(0, k - staleness) * UPDATES for k in range(done, 4)]
    assert versions(again) == expected
    assert again.trainer.policy_version == 4 * UPDATES


def test_rollouts_follow_each_other_in_the_mixture(lagging: Bench) -> None:
    drawn: list[list[str]] = []
    for staleness in (0, 2):
        lagging.recipe["rollout"]["max_staleness"] = staleness
        lagging.recipe["rollout"]["curriculum"] = 0.5
        lagging.recipe["rollout"]["curriculum_bounds"] = [0.0, 1.0]
        parts = replace(lagging.parts(), engine=Engine(lagging.text, lagging.tokenizer))
        queue = RolloutQueue(parts, Cursor())
        with closing(queue):
            for _ in range(3):
                queue.take(Stopwatch())
                queue.deliver_weights()
        drawn.append([request.prompt.problem.id for request in engine(parts).requests][: 3 * 2])
    assert drawn[0] == drawn[1], "what is drawn hangs on the rollouts before, not on who is faster"


def test_a_fault_of_a_rollout_ends_the_stage(lagging: Bench) -> None:
    lagging.recipe["rollout"]["max_staleness"] = 1
    parts = lagging.parts()
    made: Iterator[int] = iter(range(9))

    def fail() -> None:
        if next(made) == 2:
            raise Fault("the engine broke")

    engine(parts).on_generate = fail
    with pytest.raises(Fault, match="the engine broke"):
        train(parts, Cursor())
    assert len(parts.context.store.read_metrics()) == 2, "what was made before it has been learnt from"


class DeafEngine(Engine):
    """Says that it takes new weights, and goes on with those that it has, from some version on."""

    deaf_from = 0

    def update_weights(self, update: WeightUpdate) -> None:
        if update.version < self.deaf_from:
            super().update_weights(update)


@pytest.mark.parametrize(("deaf_from", "learnt"), [(2, 1), (4, 2)])
def test_an_engine_that_misses_an_update_is_found_before_anything_is_learnt_from_it(
    lagging: Bench, deaf_from: int, learnt: int
) -> None:
    lagging.recipe["rollout"]["max_staleness"] = 1
    deaf = DeafEngine(lagging.text, lagging.tokenizer)
    deaf.deaf_from = deaf_from
    parts = replace(lagging.parts(), engine=deaf)
    with pytest.raises(Fault, match=rf"the weights of {learnt} rollouts?, and answers with those of {learnt - 1}"):
        train(parts, Cursor())


def test_an_engine_that_computes_another_model_is_found_at_once(lagging: Bench) -> None:
    lagging.recipe["rollout"]["max_staleness"] = 1
    lagging.recipe["algorithm"] = {"logprob_difference_stop": 0.2}
    other = Engine(lagging.text, lagging.tokenizer)
    other.policy_version = -300  # three tenths of a nat away
    parts = replace(lagging.parts(), engine=other)
    with pytest.raises(Fault, match=r"differs from the trainer by 0\.3 nats a token under the same weights"):
        train(parts, Cursor())
    assert engine(parts).log == []


def update(version: int) -> WeightUpdate:
    return WeightUpdate.in_memory(version, [("a", torch.full((3,), float(version)))])


def test_a_history_keeps_what_rollouts_will_be_written_with(tmp_path: Any) -> None:
    history = WeightHistory(2)
    with closing(history):
        for rollouts in range(5):
            history.add(rollouts, update(10 * rollouts))
        assert [history.find(number).version for number in (2, 3, 4)] == [20, 30, 40]
        with pytest.raises(KeyError):
            history.find(1)
        history.save(tmp_path, 4)
    again = WeightHistory(2)
    with closing(again):
        again.load(tmp_path)
        for number in (2, 3):
            ((name, tensor),) = again.find(number).read()
            assert name == "a"
            assert np.array_equal(tensor.numpy(), np.full(3, 10.0 * number, np.float32))
        with pytest.raises(KeyError):
            again.find(4)


def test_without_staleness_nothing_is_kept(tmp_path: Any) -> None:
    history = WeightHistory(0)
    history.add(1, update(1))
    history.save(tmp_path, 1)
    assert list(tmp_path.iterdir()) == []
    history.close()
