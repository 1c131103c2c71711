"""Supervised updates: whose tokens count, and that neither cuts nor a resume change them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dunwu.config.schema import OptimizerSpec, PassSpec
from dunwu.errors import Fault, Interrupted
from dunwu.models.policy import Policy
from dunwu.training.steps import take_step
from dunwu.training.supervised import SupervisedTrainer
from dunwu.types import GradedSample, TokenizedExample

MakePolicy = Callable[..., Policy]
MakeSamples = Callable[..., list[GradedSample]]
OPTIMIZER = OptimizerSpec(lr=1e-2, schedule="cosine")


@pytest.fixture
def lessons(make_samples: MakeSamples) -> list[TokenizedExample]:
    return [TokenizedExample(token_ids=sample.token_ids, loss_mask=sample.loss_mask) for sample in make_samples(12)]


def trainer(policy: Policy, tokens: int = 10_000) -> SupervisedTrainer:
    return SupervisedTrainer(policy, OPTIMIZER, PassSpec(tokens_per_microbatch=tokens), total_steps=4)


def weights(made: SupervisedTrainer) -> torch.Tensor:
    return torch.cat([weight.flatten() for _, weight in made.export_weights().read()])


def test_the_loss_is_that_of_transformers(make_policy: MakePolicy, lessons: list[TokenizedExample]) -> None:
    """Cross-entropy over all answer tokens of the batch, each alike."""
    policy = make_policy()
    total, count = 0.0, 0
    for lesson in lessons:
        token_ids = torch.from_numpy(lesson.token_ids.astype(np.int64))[None]
        labels = token_ids.masked_fill(~torch.from_numpy(lesson.loss_mask)[None], -100)
        written = int(lesson.loss_mask[1:].sum())
        with torch.no_grad():
            total += policy.model(input_ids=token_ids, labels=labels).loss.item() * written
        count += written
    metrics = take_step(trainer(policy), lessons, at=0).metrics
    assert metrics["loss"] == pytest.approx(total / count, rel=1e-5)
    assert (metrics["tokens"], metrics["lr"]) == (count, 1e-2)


def test_microbatches_change_nothing(make_policy: MakePolicy, lessons: list[TokenizedExample]) -> None:
    whole, cut = trainer(make_policy()), trainer(make_policy(), tokens=30)
    told = [[dict(take_step(made, lessons, at=at).metrics) for at in range(2)] for made in (whole, cut)]
    for one, other in zip(*told, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_what_was_asked_teaches_nothing(make_policy: MakePolicy, lessons: list[TokenizedExample]) -> None:
    """Only through what it makes likely after it: an answer after another question is another lesson."""
    learnt = trainer(make_policy())
    before = weights(learnt).clone()
    asked = [TokenizedExample(token_ids=lesson.token_ids, loss_mask=lesson.loss_mask & False) for lesson in lessons[1:]]
    take_step(learnt, [lessons[0], *asked], at=0)
    alone = trainer(make_policy())
    take_step(alone, [lessons[0]], at=0)
    assert not torch.equal(weights(learnt), before)
    assert torch.allclose(weights(learnt), weights(alone), atol=1e-5)


def test_a_resumed_trainer_goes_on_bit_for_bit(
    make_policy: MakePolicy, lessons: list[TokenizedExample], tmp_path: Path
) -> None:
    straight = trainer(make_policy())
    take_step(straight, lessons[:6], at=0)
    straight.save(tmp_path)
    take_step(straight, lessons[6:], at=1)
    resumed = trainer(make_policy(seed=9))
    resumed.load(tmp_path)
    assert resumed.version == 1
    take_step(resumed, lessons[6:], at=1)
    assert torch.equal(weights(resumed), weights(straight))


def test_a_step_that_is_given_up_changes_nothing(make_policy: MakePolicy, lessons: list[TokenizedExample]) -> None:
    made = trainer(make_policy(), tokens=30)
    before = weights(made).clone()

    def stop(share: float) -> None:
        if share > 0.5:
            raise Interrupted("asked to stop")

    with pytest.raises(Interrupted):
        take_step(made, lessons, at=0, check=stop)
    assert torch.equal(weights(made), before)
    assert made.version == 0


def test_a_loss_that_is_not_finite_is_a_fault_and_leaves_the_weights(
    make_policy: MakePolicy, lessons: list[TokenizedExample]
) -> None:
    policy = make_policy()
    made = trainer(policy)
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[int(lessons[0].token_ids[0])] = float("nan")
    before = weights(made).clone()
    with pytest.raises(Fault, match="the loss is nan in update 1, microbatch 1 of 1"):
        take_step(made, lessons, at=0)
    assert torch.equal(weights(made).nan_to_num(7.0), before.nan_to_num(7.0))
