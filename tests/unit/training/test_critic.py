"""The value network: values at the right slots, its loss, advantages, and a resume that is bit for bit the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen2ForSequenceClassification

from dunwu.algorithms import assign_advantages, build, cut_minibatches
from dunwu.algorithms.batching import make_train_step
from dunwu.config.schema import AlgorithmSpec, CorrectionSpec, OptimizerSpec, UpdateSpec, ValueSpec
from dunwu.errors import Fault
from dunwu.metrics import reduce
from dunwu.models.policy import Policy
from dunwu.models.scalar_head import compute_values
from dunwu.training.critic import Critic
from dunwu.training.steps import take_step
from dunwu.training.trainer import PolicyTrainer
from dunwu.types import GradedSample, SampleLogprobs, TrainSample

from .conftest import MakePolicy, MakeSamples

UPDATE = UpdateSpec(minibatches=2, tokens_per_microbatch=60)
PPO = AlgorithmSpec(advantage="gae", kl_coefficient=0.0)


def make_scorer(make_policy: MakePolicy) -> Policy:
    """The policy's shape with a head of one number."""
    policy = make_policy()
    torch.manual_seed(5)
    config = policy.model.config.__class__(**{**policy.model.config.to_dict(), "num_labels": 1})
    return replace(policy, model=Qwen2ForSequenceClassification(config).eval())


def make_critic(make_policy: MakePolicy, **spec: Any) -> Critic:
    return Critic(make_scorer(make_policy), value_spec(**spec), UPDATE, total_steps=8)


def value_spec(**spec: Any) -> ValueSpec:
    fields: dict[str, Any] = {"optimizer": OptimizerSpec(lr=1e-2), "whiten": False} | spec
    return ValueSpec(**fields)


def rewarded(samples: list[GradedSample]) -> list[GradedSample]:
    return [replace(sample, reward=float(n % 3)) for n, sample in enumerate(samples)]


def as_batch(critic: Critic, samples: list[GradedSample]) -> list[TrainSample]:
    values = critic.compute_values(samples)
    logprobs = [
        SampleLogprobs(old_logprobs=sample.sampler_logprobs, ref_logprobs=None, old_values=values[i])
        for i, sample in enumerate(samples)
    ]
    return assign_advantages(samples, logprobs, [], build(PPO, value_spec(), max_new_tokens=20))


def test_values_are_of_the_state_before_each_token(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    model = make_scorer(make_policy).model
    (sample,) = make_samples(1)
    ids, mask = torch.from_numpy(sample.token_ids)[None].long(), torch.from_numpy(sample.loss_mask)[None]
    values = compute_values(model, ids, mask)[0]
    states = model.base_model(input_ids=ids).last_hidden_state[0]
    for slot in range(ids.shape[1]):
        expected = model.score(states[slot - 1]).item() if sample.loss_mask[slot] else 0.0
        assert values[slot].item() == pytest.approx(expected, abs=1e-5)


def test_values_of_samples_are_those_of_each_alone(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    critic, samples = make_critic(make_policy), make_samples(8)
    for sample, values in zip(samples, critic.compute_values(samples), strict=True):
        assert values.shape == sample.token_ids.shape
        assert not values[~sample.loss_mask].any()
        np.testing.assert_allclose(values, critic.compute_values([sample])[0], atol=1e-5)


def raised(logprobs: SampleLogprobs) -> SampleLogprobs:
    assert logprobs.old_values is not None
    return replace(logprobs, old_values=logprobs.old_values + 0.2)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_loss_is_half_the_clipped_error(
    make_policy: MakePolicy, make_samples: MakeSamples, clip: float | None
) -> None:
    critic = make_critic(make_policy, clip=clip)
    samples = as_batch(critic, rewarded(make_samples(6)))
    moved = [replace(one, logprobs=raised(one.logprobs)) for one in samples]
    step = make_train_step(moved, 10_000)
    (batch,) = step.microbatches
    metrics = reduce(dict(critic.forward_backward(batch, step, "here")))
    errors = []
    for one, plain in zip(moved, samples, strict=True):
        numbers = plain.logprobs.old_values, one.logprobs.old_values, one.returns
        for value, old, wanted in zip(*numbers, strict=True):  # type: ignore[arg-type]
            near = old + (value - old if clip is None else np.clip(value - old, -clip, clip))
            errors.append(max((value - wanted) ** 2, (near - wanted) ** 2))
    masks = np.concatenate([one.sample.loss_mask for one in moved])
    assert metrics["value_loss"] == pytest.approx(0.5 * np.array(errors)[masks].sum() / masks.sum(), rel=1e-4)


def test_it_learns_what_to_expect(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    critic = make_critic(make_policy, clip=None)
    losses = []
    for at in range(8):
        step = make_train_step(as_batch(critic, rewarded(make_samples(6))), 10_000)
        critic.zero_grad()
        losses.append(reduce(dict(critic.forward_backward(step.microbatches[0], step, "here")))["value_loss"])
        assert critic.optim_step(at)["value_lr"] == 1e-2
    assert losses[-1] < 0.5 * losses[0]


def make_trainer(make_policy: MakePolicy, spec: AlgorithmSpec = PPO) -> PolicyTrainer:
    return PolicyTrainer(
        make_policy(),
        build(spec, value_spec(), max_new_tokens=20),
        OptimizerSpec(lr=1e-2),
        UPDATE,
        temperature=1.0,
        total_steps=8,
        critic=make_critic(make_policy),
    )


def batch_of(trainer: PolicyTrainer, samples: list[GradedSample]) -> list[TrainSample]:
    return assign_advantages(samples, trainer.compute_logprobs(samples), [], trainer._algorithm)


def learn(trainer: PolicyTrainer, samples: list[GradedSample]) -> list[dict[str, float]]:
    steps = cut_minibatches(batch_of(trainer, rewarded(samples)), UPDATE, trainer.policy_version)
    return [dict(take_step(trainer, step, at=trainer.policy_version).metrics) for step in steps]


def test_policy_and_values_move_together_and_resume_bit_for_bit(
    make_policy: MakePolicy, make_samples: MakeSamples, tmp_path: Path
) -> None:
    straight, stopped = make_trainer(make_policy), make_trainer(make_policy)
    first = learn(straight, make_samples(8, seed=1))
    assert learn(stopped, make_samples(8, seed=1)) == first
    assert {"policy_loss", "value_loss", "value_grad_norm"} <= first[0].keys()
    stopped.save(tmp_path)
    resumed = make_trainer(make_policy)
    resumed.load(tmp_path)
    assert learn(resumed, make_samples(8, seed=2)) == learn(straight, make_samples(8, seed=2))


def test_a_correction_is_the_policy_s_and_leaves_the_values_as_they_are(
    make_policy: MakePolicy, make_samples: MakeSamples
) -> None:
    """Everything masked: the policy stays where it is, the value network learns what it learnt without."""
    masked = PPO.model_copy(update={"correction": CorrectionSpec(mask_low=1.0, mask_high=1e-9)})
    plain, still = make_trainer(make_policy), make_trainer(make_policy, masked)
    before = {name: weight.clone() for name, weight in still.export_weights().read()}
    expected, rows = learn(plain, make_samples(8)), learn(still, make_samples(8))
    names = ("value", "value_loss", "value_squared_error", "value_grad_norm")
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in expected]
    assert [row["grad_norm"] for row in rows] == [0.0, 0.0] != [row["grad_norm"] for row in expected]
    assert all(torch.equal(weight, before[name]) for name, weight in still.export_weights().read())


def test_a_value_that_is_no_number_leaves_both_untouched(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    trainer = make_trainer(make_policy)
    before = {name: weight.clone() for name, weight in trainer.export_weights().read()}
    bad = [replace(sample, reward=float("nan")) for sample in make_samples(4)]
    (step,) = cut_minibatches(batch_of(trainer, bad), UpdateSpec(minibatches=1), 0)
    with pytest.raises(Fault, match="is nan in update 1"):
        take_step(trainer, step, at=0)
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.export_weights().read())
