"""The whole loss: against a straightforward reference written here, against TRL's, and under any split of the batch."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dunwu.algorithms import build
from dunwu.algorithms.batching import Microbatch, TrainStep, make_train_step
from dunwu.config.schema import AlgorithmSpec, CorrectionSpec
from dunwu.metrics import combine, reduce
from dunwu.types import GradedSample, SampleLogprobs, TrainSample

LOSSES = ("grpo", "gspo", "cispo")
AGGREGATES = ("sequence", "token", "constant")
MAX_NEW_TOKENS = 12
CORRECTIONS = (
    {"importance_cap": 1.5},
    {"correction": CorrectionSpec(cap=1.5, mask_low=0.6, mask_high=2.0)},
    {"correction": CorrectionSpec(level="sequence", cap=1.5, mask_low=0.3, mask_high=2.0)},
    {"correction": CorrectionSpec(level="token", cap=0.0, mask_level="geometric", mask_low=0.9, mask_high=1.2)},
)


def train_samples(count: int = 9) -> list[TrainSample]:
    """Samples of mixed lengths whose old, reference and sampler probabilities all differ."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(count):
        prompt, completion = int(rng.integers(2, 5)), int(rng.integers(1, MAX_NEW_TOKENS + 1))
        mask = np.arange(prompt + completion) >= prompt

        def noise(scale: float, mask: np.ndarray = mask) -> np.ndarray:
            return np.where(mask, rng.normal(-2.0, scale, len(mask)), 0.0).astype(np.float32)

        sample = GradedSample(
            token_ids=rng.integers(0, 9, len(mask)).astype(np.int32),
            loss_mask=mask,
            sampler_logprobs=noise(0.4),
            group_id=index // 3,
            member=index % 3,
            reward=0.0,
            policy_version=0,
        )
        advantages = np.where(mask, rng.normal(), 0.0).astype(np.float32)
        samples.append(made(sample, advantages, old=noise(0.4), ref=noise(0.4)))
    return samples


def made(
    sample: GradedSample, advantages: np.ndarray, *, old: np.ndarray | None, ref: np.ndarray | None
) -> TrainSample:
    logprobs = SampleLogprobs(old_logprobs=old, ref_logprobs=ref)
    return TrainSample(
        sample=sample, logprobs=logprobs, advantages=advantages, returns=None, kept_advantages=advantages
    )


def logprobs_of(batch: Microbatch) -> Tensor:
    """Log-probabilities that depend on the sample alone, whatever microbatch it is in; also on the padding, wrongly."""
    columns = torch.arange(batch.token_ids.shape[1])
    return (-2.0 + 0.5 * torch.sin(batch.token_ids * 1.7 + columns)).requires_grad_()


def run(
    spec: AlgorithmSpec, step: TrainStep, *, correct_kl: bool = False
) -> tuple[float, dict[bytes, Tensor], dict[str, float]]:
    """The step's loss, its gradient for each sample (named by its tokens), and its metrics."""
    algorithm = build(spec, max_new_tokens=MAX_NEW_TOKENS, correct_kl=correct_kl)
    total, grads, parts = 0.0, {}, []
    for batch in step.microbatches:
        logprobs = logprobs_of(batch)
        output = algorithm.loss(logprobs, torch.ones_like(logprobs), batch, step)
        (grad,) = torch.autograd.grad(output.loss, logprobs)
        total += output.loss.item()
        parts.append(output.metrics)
        assert not grad[~batch.loss_mask].any(), "a masked token has a gradient"
        for row, mask in enumerate(batch.loss_mask):
            length = int(mask.nonzero().max()) + 1
            grads[batch.token_ids[row, :length].numpy().tobytes()] = grad[row, :length]
    return total, grads, reduce(combine(parts))


def reference_grpo(samples: list[TrainSample], beta: float, low: float, high: float) -> float:
    """DeepSeekMath's equation 3 with equation 4, token by token in plain Python."""
    total = 0.0
    for one in samples:
        sample, old, ref = one.sample, one.logprobs.old_logprobs, one.logprobs.ref_logprobs
        assert old is not None
        assert ref is not None
        sequence, tokens = 0.0, np.flatnonzero(sample.loss_mask)
        for t in tokens:
            logprob = -2.0 + 0.5 * np.sin(sample.token_ids[t] * 1.7 + t)
            ratio = np.exp(logprob - old[t])
            advantage = one.advantages[t]
            bounded = min(ratio * advantage, min(max(ratio, 1 - low), 1 + high) * advantage)
            difference = ref[t] - logprob
            sequence += bounded - beta * (np.exp(difference) - difference - 1)
        total += sequence / len(tokens)
    return -total / len(samples)


def test_grpo_is_the_paper_s_equation() -> None:
    samples = train_samples()
    spec = AlgorithmSpec(kl_coefficient=0.04, clip_low=0.2, clip_high=0.3)
    loss, _, _ = run(spec, make_train_step(samples, tokens_per_microbatch=40))
    assert loss == pytest.approx(reference_grpo(samples, 0.04, 0.2, 0.3), abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize(("kl_in", "correct_kl"), [("loss", False), ("loss", True), ("reward", False)])
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_no_split_changes_loss_gradient_or_metrics(
    loss: Any, aggregate: Any, kl_in: Any, correct_kl: bool, correction: Any
) -> None:
    samples = train_samples()
    spec = AlgorithmSpec(loss=loss, aggregate=aggregate, kl_in=kl_in, kl_coefficient=0.1, **correction)
    whole = make_train_step(samples, tokens_per_microbatch=10_000)
    assert len(whole.microbatches) == 1
    expected, expected_grads, expected_metrics = run(spec, whole, correct_kl=correct_kl)
    for budget in (1, 20, 50):
        step = make_train_step(samples, tokens_per_microbatch=budget)
        assert len(step.microbatches) > 1
        total, grads, metrics = run(spec, step, correct_kl=correct_kl)
        assert total == pytest.approx(expected, abs=1e-6)
        assert metrics == pytest.approx(expected_metrics, abs=1e-5)
        for name, grad in expected_grads.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_kl_term_is_corrected_for_whoever_drew_the_tokens(loss: Any) -> None:
    """By hand, token by token: policy/old x min(old/sampler, cap) x k3, whatever ratio the loss itself has."""
    samples = [replace(one, advantages=0 * one.advantages) for one in train_samples()]
    spec = AlgorithmSpec(loss=loss, aggregate="token", kl_coefficient=0.5, importance_cap=1.5)
    step = make_train_step(samples, tokens_per_microbatch=40)
    total, _, _ = run(spec, step, correct_kl=True)
    expected = 0.0
    for one in samples:
        sample, old, ref = one.sample, one.logprobs.old_logprobs, one.logprobs.ref_logprobs
        assert old is not None
        assert ref is not None
        for t in np.flatnonzero(sample.loss_mask):
            logprob = -2.0 + 0.5 * np.sin(sample.token_ids[t] * 1.7 + t)
            weight = np.exp(logprob - old[t]) * min(np.exp(old[t] - sample.sampler_logprobs[t]), 1.5)
            difference = ref[t] - logprob
            expected += weight * (np.exp(difference) - difference - 1)
    assert total == pytest.approx(0.5 * expected / step.num_loss_tokens, abs=1e-6)


def count_ratios(one: TrainSample) -> np.ndarray:
    """Old over sampler probability of a sample's completion tokens."""
    old, sample = one.logprobs.old_logprobs, one.sample
    assert old is not None
    ratios: np.ndarray = np.exp(old - sample.sampler_logprobs)[sample.loss_mask]
    return ratios


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("correct_kl", [False, True])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_what_is_masked_has_no_loss_and_still_counts(loss: Any, aggregate: Any, correct_kl: bool, level: Any) -> None:
    """Neither objective nor KL term; what is kept has the gradient that it has without any mask."""
    step = make_train_step(samples := train_samples(), tokens_per_microbatch=40)
    spec = AlgorithmSpec(loss=loss, aggregate=aggregate, kl_coefficient=0.1)
    masks = CorrectionSpec(level=level, cap=0.0, mask_low=0.6, mask_high=1.5)
    _, plain, _ = run(spec, step, correct_kl=correct_kl)
    _, grads, metrics = run(spec.model_copy(update={"correction": masks}), step, correct_kl=correct_kl)
    masked, tokens, emptied = 0, 0, 0
    for one in samples:
        name, chosen, ratios = one.sample.token_ids.astype(np.int64).tobytes(), one.sample.loss_mask, count_ratios(one)
        weights = np.full_like(ratios, ratios.prod()) if level == "sequence" else ratios
        kept = (weights >= 0.6) & (weights <= 1.5)
        torch.testing.assert_close(grads[name][chosen], plain[name][chosen] * torch.from_numpy(kept))
        masked, tokens, emptied = masked + (~kept).sum(), tokens + len(kept), emptied + (not kept.any())
    assert 0 < masked < tokens
    assert metrics["correction_masked"] == pytest.approx(masked / tokens)
    assert metrics["correction_masked_sequences"] == pytest.approx(emptied / len(samples))
    assert metrics["correction_mean"] == pytest.approx(1 - masked / tokens)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_is_a_factor_of_each_token_s_gradient(loss: Any) -> None:
    step = make_train_step(samples := train_samples(), tokens_per_microbatch=40)
    spec = AlgorithmSpec(loss=loss, aggregate="token", kl_coefficient=0.0)
    _, plain, _ = run(spec, step)
    _, grads, _ = run(spec.model_copy(update={"correction": CorrectionSpec(level="sequence", cap=1.5)}), step)
    for one in samples:
        name, weight = one.sample.token_ids.astype(np.int64).tobytes(), min(count_ratios(one).prod(), 1.5)
        torch.testing.assert_close(grads[name], plain[name] * weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_kl_term_that_is_not_corrected_has_no_weight(loss: Any) -> None:
    samples = [replace(one, advantages=0 * one.advantages) for one in train_samples()]
    step = make_train_step(samples, tokens_per_microbatch=40)
    plain = AlgorithmSpec(loss=loss, kl_coefficient=0.5)
    weighted = plain.model_copy(update={"correction": CorrectionSpec(level="sequence", cap=1.5)})
    assert run(weighted, step)[0] == run(plain, step)[0]
    assert run(weighted, step, correct_kl=True)[0] != pytest.approx(run(plain, step, correct_kl=True)[0], rel=0.01)


def test_an_importance_cap_is_a_cap_on_tokens() -> None:
    """With no metric more than such runs have stored."""
    step = make_train_step(train_samples(), tokens_per_microbatch=40)
    old_names = {"importance_mean", "importance_max", "ratio_mean", "ratio_max", "clip_low", "clip_high", "entropy"}
    spec = AlgorithmSpec(kl_coefficient=0.0, importance_cap=1.5)
    total, grads, metrics = run(spec, step)
    assert metrics.keys() == old_names | {"kl", "policy_loss"}
    same, same_grads, more = run(AlgorithmSpec(kl_coefficient=0.0, correction=CorrectionSpec(cap=1.5)), step)
    assert (same, more.keys() > metrics.keys()) == (total, True)
    assert all(torch.equal(same_grads[name], grad) for name, grad in grads.items())


@pytest.mark.parametrize("loss", LOSSES)
def test_on_policy_the_ratio_is_one_and_the_gradient_is_the_advantage(loss: Any) -> None:
    samples = [replace(one, logprobs=SampleLogprobs(old_logprobs=None, ref_logprobs=None)) for one in train_samples()]
    spec = AlgorithmSpec(loss=loss, aggregate="token", kl_coefficient=0.0)
    step = make_train_step(samples, tokens_per_microbatch=40)
    _, grads, metrics = run(spec, step)
    assert (metrics["ratio_mean"], metrics["ratio_max"]) == (1.0, 1.0)
    assert (metrics["clip_low"], metrics["clip_high"]) == (0.0, 0.0)
    for one in samples:
        grad = grads[one.sample.token_ids.astype(np.int64).tobytes()]
        expected = torch.from_numpy(-one.advantages / step.num_loss_tokens)
        torch.testing.assert_close(grad, expected)


def test_metrics_by_hand() -> None:
    mask = np.array([False, True, True, True])
    sample = GradedSample(
        token_ids=np.zeros(4, dtype=np.int32),
        loss_mask=mask,
        sampler_logprobs=np.array([0, -1, -1, -1], dtype=np.float32),
        group_id=0,
        member=0,
        reward=0.0,
        policy_version=0,
    )
    old = np.array([0, -1, -1, -1 + np.log(2)], dtype=np.float32)
    step = make_train_step([made(sample, mask.astype(np.float32), old=old, ref=old)], tokens_per_microbatch=10)
    logprobs = torch.tensor([[0.0, -1.0, -1.0 + np.log(1.5), -1.0 + np.log(2)]])
    output = build(AlgorithmSpec(), max_new_tokens=3).loss(
        logprobs, torch.full((1, 4), 6.0), step.microbatches[0], step
    )
    metrics = reduce(output.metrics)
    assert metrics["ratio_mean"] == pytest.approx(3.5 / 3)
    assert metrics["ratio_max"] == pytest.approx(1.5)
    assert metrics["clip_high"] == pytest.approx(1 / 3)
    assert metrics["clip_low"] == 0.0
    assert metrics["importance_mean"] == pytest.approx(4 / 3)
    assert metrics["importance_max"] == pytest.approx(2.0)
    assert metrics["entropy"] == pytest.approx(6.0)
    assert metrics["kl"] == pytest.approx((1 / 1.5 + np.log(1.5) - 1) / 3)
    assert metrics["policy_loss"] == pytest.approx(-(1 + 1.2 + 1) / 3)


def test_the_sampler_is_not_compared_with_itself() -> None:
    step = make_train_step(train_samples(), tokens_per_microbatch=10_000)
    _, _, metrics = run(AlgorithmSpec(old_logprobs="sampler"), step)
    assert not {"importance_mean", "importance_max"} & metrics.keys()
    assert {"ratio_mean", "ratio_max"} <= metrics.keys()


@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="trl (a development extra) is not installed")
@pytest.mark.parametrize(("ours", "theirs"), [("sequence", "grpo"), ("token", "dapo"), ("constant", "dr_grpo")])
@pytest.mark.parametrize(("beta", "correct_kl"), [(0.0, False), (0.04, False), (0.04, True)])
def test_equal_to_trl(ours: Any, theirs: str, beta: float, correct_kl: bool) -> None:
    from trl import GRPOTrainer

    step = make_train_step(train_samples(), tokens_per_microbatch=10_000)
    (batch,) = step.microbatches
    spec = AlgorithmSpec(aggregate=ours, kl_coefficient=beta, clip_low=0.2, clip_high=0.28)
    if beta == 0.0:
        batch = Microbatch(**{name: getattr(batch, name) for name in Microbatch.__slots__} | {"ref_logprobs": None})
    logprobs = logprobs_of(batch)
    algorithm = build(spec, max_new_tokens=MAX_NEW_TOKENS, correct_kl=correct_kl)
    output = algorithm.loss(logprobs, torch.zeros_like(logprobs), batch, step)
    (grad,) = torch.autograd.grad(output.loss, logprobs)

    their_logprobs = logprobs_of(batch)
    trainer = trl_stub(theirs, beta, their_logprobs, correct_kl)
    advantages = torch.stack([row[mask][0] for row, mask in zip(batch.advantages, batch.loss_mask, strict=True)])
    inputs = {
        "prompt_ids": batch.token_ids[:, :0],
        "prompt_mask": batch.loss_mask[:, :0].int(),
        "completion_ids": batch.token_ids,
        "completion_mask": batch.loss_mask.int(),
        "advantages": advantages,
        "old_per_token_logps": batch.old_logprobs,
        "ref_per_token_logps": batch.ref_logprobs,
        "num_items_in_batch": batch.loss_mask.sum(),
    }
    their_loss = GRPOTrainer._compute_loss(trainer, trainer.model, inputs)
    (their_grad,) = torch.autograd.grad(their_loss, their_logprobs)
    assert output.loss.item() == pytest.approx(their_loss.item(), abs=1e-6)
    torch.testing.assert_close(grad, their_grad, rtol=1e-5, atol=1e-7)


def trl_stub(loss_type: str, beta: float, logprobs: Tensor, correct_kl: bool) -> Any:
    """What TRL's ``_compute_loss`` reads of its trainer, with log-probabilities that are given."""
    accelerator = SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x)
    from collections import defaultdict

    return SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *args, **kwargs: (logprobs, torch.zeros_like(logprobs), None),
        accelerator=accelerator,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=correct_kl, steps_per_generation=1),
        model=SimpleNamespace(training=True),
        _metrics=defaultdict(lambda: defaultdict(list)),
        beta=beta,
        loss_type=loss_type,
        epsilon_low=0.2,
        epsilon_high=0.28,
        importance_sampling_level="token",
        max_completion_length=MAX_NEW_TOKENS,
        current_gradient_accumulation_steps=1,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        aux_loss_enabled=False,
        tools=None,
        _entropy_bonus_enabled=False,
    )
