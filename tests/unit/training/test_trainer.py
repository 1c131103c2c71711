"""The trainer: exact gradients, no needless pass, a stop before NaN, and a resume that is bit for bit the same."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dunwu.algorithms import Algorithm, build, cut_minibatches
from dunwu.config.schema import AlgorithmSpec, OptimizerSpec, UpdateSpec
from dunwu.errors import Fault, Interrupted
from dunwu.models.policy import Policy
from dunwu.training.steps import take_step
from dunwu.training.trainer import PolicyTrainer, Trainer
from dunwu.types import GradedSample

from .conftest import MakePolicy, MakeSamples, as_batch

TEMPERATURE = 0.9


def make_trainer(policy: Policy, **changes: Any) -> PolicyTrainer:
    """A trainer whose changes go to the recipe's section that has a field of that name."""

    def section(kind: Any, **defaults: Any) -> Any:
        return kind(**(defaults | {name: changes.pop(name) for name in list(changes) if name in kind.model_fields}))

    algorithm = build(section(AlgorithmSpec), max_new_tokens=20)
    optimizer, update = section(OptimizerSpec, lr=1e-2), section(UpdateSpec, minibatches=1, tokens_per_microbatch=60)
    assert not changes, f"no section has {changes}"
    return PolicyTrainer(policy, algorithm, optimizer, update, temperature=TEMPERATURE, total_steps=8)


def rollout(trainer: Trainer, samples: list[GradedSample], update: UpdateSpec, seed: int = 0) -> list[dict[str, float]]:
    """Log-probabilities and steps, as the pipeline does; the metrics of every step."""
    return [
        dict(take_step(trainer, step, at=trainer.policy_version).metrics)
        for step in cut_minibatches(as_batch(trainer, samples), update, seed)
    ]


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in trainer.export_weights().read()}


def forwards(model: Any) -> list[int]:
    """A counter of the model's forward passes: it grows by one entry a pass."""
    passes: list[int] = []
    model.base_model.register_forward_hook(lambda *_: passes.append(1))
    return passes


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def reference_loss(model: Any, samples: list[GradedSample], beta: float, reference: Any) -> Tensor:
    """GRPO on-policy, one sequence at a time, from full logits: the equation and nothing else."""
    total = torch.zeros(())
    for sample in samples:
        ids = torch.from_numpy(sample.token_ids).long()[None]
        slots = torch.from_numpy(sample.loss_mask)[1:]
        advantage = sample.reward

        def logprobs(of: Any, ids: Tensor = ids, slots: Tensor = slots) -> Tensor:
            every = (of(input_ids=ids).logits[0, :-1] / TEMPERATURE).log_softmax(-1)
            picked: Tensor = every.gather(1, ids[0, 1:, None])[:, 0][slots]
            return picked

        new = logprobs(model)
        with torch.no_grad():
            ref = logprobs(reference)
        ratio = torch.exp(new - new.detach())
        kl = torch.exp(ref - new) - (ref - new) - 1
        total = total - (ratio * advantage - beta * kl).mean()
    return total / len(samples)


def test_loss_and_gradient_are_the_equation_s(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    policy, reference, samples = make_policy(0), make_policy(1), make_samples(10)
    trainer = make_trainer(policy, kl_coefficient=0.05, max_grad_norm=1e9, lr=1e-9)
    trainer.refresh_reference()  # then the policy moves away from it
    with torch.no_grad():
        for (_, weight), (_, other) in zip(
            trainer.export_weights().read(), reference.model.named_parameters(), strict=True
        ):
            start = weight.clone()
            weight.copy_(other)
            other.copy_(start)
    expected = reference_loss(policy.model, samples, 0.05, reference.model)
    expected.backward()  # type: ignore[no-untyped-call]
    expected_grads = {name: p.grad.clone() for name, p in policy.model.named_parameters()}

    (metrics,) = rollout(trainer, samples, UpdateSpec(minibatches=1, tokens_per_microbatch=60))
    for name, parameter in policy.model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected_grads[name], rtol=1e-4, atol=1e-6, msg=name)
    kl_part = expected.item() - metrics["policy_loss"]
    assert kl_part > 0.01
    assert metrics["grad_norm"] == pytest.approx(
        float(torch.stack([g.norm() for g in expected_grads.values()]).norm()), rel=1e-4
    )
    assert (metrics["ratio_mean"], metrics["ratio_max"]) == (1.0, 1.0)


@pytest.mark.parametrize("budget", [1, 40, 100, 10_000])
def test_no_split_into_microbatches_changes_the_update(
    make_policy: MakePolicy, make_samples: MakeSamples, budget: int
) -> None:
    grads = []
    for tokens in (60, budget):
        policy = make_policy()
        trainer = make_trainer(policy, tokens_per_microbatch=tokens, max_grad_norm=1e9)
        rollout(trainer, make_samples(10), UpdateSpec(minibatches=1, tokens_per_microbatch=tokens))
        grads.append({name: p.grad for name, p in policy.model.named_parameters()})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-4, atol=1e-6, msg=name)


def test_an_on_policy_step_without_kl_is_one_pass(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    policy = make_policy()
    trainer = make_trainer(policy, kl_coefficient=0.0, tokens_per_microbatch=10_000)
    passes = forwards(policy.model)
    batch = as_batch(trainer, make_samples(6))
    assert len(passes) == 0
    assert all(one.logprobs.old_logprobs is None and one.logprobs.ref_logprobs is None for one in batch)
    (step,) = cut_minibatches(batch, UpdateSpec(minibatches=1), seed=0)
    take_step(trainer, step, at=0)
    assert len(passes) == 1


def test_kl_costs_a_pass_of_the_reference_alone(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    policy = make_policy()
    passes = forwards(policy.model)  # the reference is a copy, its hook too
    trainer = make_trainer(policy, kl_coefficient=0.1, tokens_per_microbatch=10_000)
    before = len(passes)
    logprobs = trainer.compute_logprobs(make_samples(6))
    assert len(passes) - before == 1
    assert all(own.ref_logprobs is not None and own.old_logprobs is None for own in logprobs)


def test_kl_in_the_reward_needs_the_old_policy_s_too(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    """Before the first update the policy is the reference, so both are the same."""
    trainer = make_trainer(make_policy(), kl_coefficient=0.1, kl_in="reward")
    for own in trainer.compute_logprobs(make_samples(6)):
        assert own.old_logprobs is not None
        assert own.old_logprobs.any()
        np.testing.assert_array_equal(own.old_logprobs, own.ref_logprobs)


def test_old_logprobs_are_the_sampler_s_where_the_recipe_says_so(
    make_policy: MakePolicy, make_samples: MakeSamples
) -> None:
    policy, samples = make_policy(), make_samples(6)
    trainer = make_trainer(policy, old_logprobs="sampler", kl_coefficient=0.0, minibatches=2)
    passes = forwards(policy.model)
    for own, sample in zip(trainer.compute_logprobs(samples), samples, strict=True):
        np.testing.assert_array_equal(own.old_logprobs, sample.sampler_logprobs)
    assert len(passes) == 0


def test_several_updates_compare_with_the_policy_before_the_first(
    make_policy: MakePolicy, make_samples: MakeSamples
) -> None:
    trainer = make_trainer(make_policy(), kl_coefficient=0.1, minibatches=2)
    samples = make_samples(9)
    for sample, own in zip(samples, trainer.compute_logprobs(samples), strict=True):
        assert own.old_logprobs is not None
        assert own.old_logprobs[sample.loss_mask].max() < 0
        np.testing.assert_array_equal(own.old_logprobs[~sample.loss_mask], 0.0)
        np.testing.assert_array_equal(own.old_logprobs, own.ref_logprobs)
    first, second = rollout(trainer, make_samples(9), UpdateSpec(minibatches=2, tokens_per_microbatch=60))
    assert first["ratio_max"] == pytest.approx(1.0, abs=1e-5)
    assert second["ratio_max"] > 1.01


def test_a_refreshed_reference_is_the_policy(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    trainer, samples = make_trainer(make_policy(), kl_coefficient=0.1), make_samples(6)
    (first,) = rollout(trainer, samples, UpdateSpec(minibatches=1, tokens_per_microbatch=60))
    (moved,) = rollout(trainer, samples, UpdateSpec(minibatches=1, tokens_per_microbatch=60))
    trainer.refresh_reference()
    (back,) = rollout(trainer, samples, UpdateSpec(minibatches=1, tokens_per_microbatch=60))
    assert first["kl"] == pytest.approx(0.0, abs=1e-6)
    assert moved["kl"] > 1e-3
    assert back["kl"] == pytest.approx(0.0, abs=1e-6)


def poisoned(algorithm: Algorithm, loss_factor: float, gradient: bool) -> Algorithm:
    """The algorithm with a loss that is not finite on its second microbatch (or has a gradient that is not)."""
    calls = []

    def loss(logprobs: Tensor, entropy: Tensor, batch: Any, step: Any) -> Any:
        output = algorithm.loss(logprobs, entropy, batch, step)
        calls.append(1)
        if len(calls) != 2:
            return output
        if gradient:
            logprobs.register_hook(lambda grad: grad * loss_factor)  # type: ignore[no-untyped-call]
            return output
        return type(output)(loss=output.loss * loss_factor, metrics=output.metrics)

    return replace(algorithm, loss=loss)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_update(
    make_policy: MakePolicy, make_samples: MakeSamples, value: float, where: str
) -> None:
    trainer = make_trainer(make_policy(), kl_coefficient=0.0)
    samples, update = make_samples(10), UpdateSpec(minibatches=1, tokens_per_microbatch=60)
    rollout(trainer, samples, update)
    before = weights(trainer)
    sound = trainer._algorithm
    trainer._algorithm = poisoned(sound, value, gradient=where == "gradient")
    (step,) = cut_minibatches(as_batch(trainer, samples), update, seed=0)
    groups = ", ".join(map(str, sorted(set(step.microbatches[1].group_ids))))
    with pytest.raises(Fault, match=rf"the {where} is (-?inf|nan) in update 2, microbatch 2 of \d, groups {groups};"):
        take_step(trainer, step, at=1)
    assert trainer.policy_version == 1
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.export_weights().read())
    # The state is whole: without the poison the same step works, and no part of the bad gradient is left.
    trainer._algorithm = sound
    metrics = take_step(trainer, step, at=1).metrics
    assert trainer.policy_version == 2
    assert np.isfinite(metrics["grad_norm"])


def test_a_step_can_be_given_up_until_it_changes_the_weights(
    make_policy: MakePolicy, make_samples: MakeSamples
) -> None:
    given_up, straight = (make_trainer(make_policy(), kl_coefficient=0.0) for _ in range(2))
    (step,) = cut_minibatches(
        as_batch(given_up, make_samples(10)), UpdateSpec(minibatches=1, tokens_per_microbatch=60), seed=0
    )
    count = len(step.microbatches)
    shares: list[float] = []

    def check(share: float) -> None:
        shares.append(share)
        if len(shares) == count:
            raise Interrupted("asked to stop")

    with pytest.raises(Interrupted):
        take_step(given_up, step, at=0, check=check)
    assert count > 1
    assert shares == [index / count for index in range(count)]
    assert given_up.policy_version == 0
    assert take_step(given_up, step, at=0) == take_step(straight, step, at=0)
    assert all(torch.equal(weight, weights(straight)[name]) for name, weight in given_up.export_weights().read())


def test_the_learning_rate_is_that_of_the_place_in_the_schedule(
    make_policy: MakePolicy, make_samples: MakeSamples
) -> None:
    """A rollout may make fewer updates than planned; the schedule still ends with the stage."""
    trainer = make_trainer(make_policy(), kl_coefficient=0.0, lr=1e-2, schedule="linear", final_lr_share=0.0)
    (step,) = cut_minibatches(as_batch(trainer, make_samples(6)), UpdateSpec(minibatches=1), seed=0)
    assert take_step(trainer, step, at=0).metrics["lr"] == 1e-2
    assert take_step(trainer, step, at=7).metrics["lr"] == 0.0


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_resumed_run_is_the_straight_run(
    make_policy: MakePolicy, make_samples: MakeSamples, tmp_path: Path, optimizer: str, dtype: str
) -> None:
    """Three rollouts of two updates; saved after the first, resumed on other weights: the same bytes."""
    update = UpdateSpec(minibatches=2, tokens_per_microbatch=60)
    choices = {
        "name": optimizer,
        "minibatches": 2,
        "kl_coefficient": 0.1,
        "schedule": "cosine",
        "warmup_steps": 1,
        "weight_decay": 0.1,
    }

    def fresh(seed: int) -> PolicyTrainer:
        policy = make_policy(seed)
        policy.model.to(getattr(torch, dtype))
        return make_trainer(policy, **choices)

    straight = fresh(0)
    for index in range(3):
        if index == 1:
            straight.refresh_reference()
            (tmp_path / "middle").mkdir()
            straight.save(tmp_path / "middle")
        straight_metrics = rollout(straight, make_samples(8, seed=index), update, seed=index)
    straight.save(_made(tmp_path / "straight"))

    resumed = fresh(7)
    resumed.load(tmp_path / "middle")
    assert resumed.policy_version == 2
    for index in (1, 2):
        resumed_metrics = rollout(resumed, make_samples(8, seed=index), update, seed=index)
    resumed.save(_made(tmp_path / "resumed"))

    assert resumed_metrics == straight_metrics
    assert hashes(tmp_path / "resumed") == hashes(tmp_path / "straight")
    assert hashes(tmp_path / "middle") != hashes(tmp_path / "straight")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_gradient_checkpointing_changes_nothing(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    results = []
    for checkpointing in (False, True):
        trainer = make_trainer(make_policy(attention_dropout=0.5), gradient_checkpointing=checkpointing)
        rollout(trainer, make_samples(6), UpdateSpec(minibatches=1, tokens_per_microbatch=60))
        results.append(weights(trainer))
    for name, weight in results[0].items():
        torch.testing.assert_close(results[1][name], weight, rtol=0, atol=1e-6, msg=name)


def test_what_an_older_policy_wrote_is_compared_with_this_one(
    make_policy: MakePolicy, make_samples: MakeSamples
) -> None:
    """Replayed samples in a step that is on-policy otherwise: their ratio starts at 1 all the same."""
    trainer = make_trainer(make_policy(), kl_coefficient=0.0)
    fresh = make_samples(4)
    assert all(own.old_logprobs is None for own in trainer.compute_logprobs(fresh))
    old = [replace(sample, policy_version=-1) for sample in make_samples(4, seed=1)]
    batch = as_batch(trainer, [*fresh, *old])
    assert all(one.logprobs.old_logprobs is not None for one in batch)
    (step,) = cut_minibatches(batch, UpdateSpec(minibatches=1), 0)
    assert take_step(trainer, step, at=0).metrics["ratio_mean"] == pytest.approx(1.0, abs=1e-5)
