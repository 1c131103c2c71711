"""Whoever drives a step decides between its parts; nothing but records and numbers crosses the trainer's face."""

from __future__ import annotations

import inspect

import pytest

from dunwu.errors import Interrupted
from dunwu.rollout.engine import Engine
from dunwu.training.steps import StepTrainer, take_step
from dunwu.training.trainer import Trainer
from dunwu.types import StepResult


class Recorder:
    """Cuts every batch into as many parts as it has letters."""

    def __init__(self) -> None:
        self.log: list[object] = []

    def begin_step(self, batch: str) -> int:
        self.log.append(batch)
        return len(batch)

    def forward_backward(self, part: int) -> None:
        self.log.append(part)

    def optim_step(self, *, at: int) -> StepResult:
        self.log.append(f"update {at}")
        return StepResult(policy_version=at + 1, metrics={})


def test_a_step_is_all_of_its_parts_and_then_the_update() -> None:
    trainer, shares = Recorder(), list[float]()
    assert take_step(trainer, "abcd", at=6, check=shares.append).policy_version == 7
    assert trainer.log == ["abcd", 0, 1, 2, 3, "update 6"]
    assert shares == [0.0, 0.25, 0.5, 0.75]


def test_a_step_that_is_given_up_updates_nothing() -> None:
    trainer = Recorder()

    def check(share: float) -> None:
        if share == 0.5:
            raise Interrupted("asked to stop")

    with pytest.raises(Interrupted):
        take_step(trainer, "abcd", at=0, check=check)
    assert trainer.log == ["abcd", 0, 1]


@pytest.mark.parametrize("face", [StepTrainer, Trainer, Engine])
def test_no_function_crosses_a_face(face: type) -> None:
    """Another process could not call it."""
    methods = {name: method for name, method in inspect.getmembers(face, inspect.isfunction) if name[0] != "_"}
    assert methods
    for name, method in methods.items():
        for parameter in inspect.signature(method).parameters.values():
            kind = str(parameter.annotation)
            assert not any(word in kind for word in ("Callable", "Iterator", "Generator")), f"{name}: {parameter}"
