"""Corrections for another sampler: by hand, in general, and the bias that they take off an exact gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dunwu.algorithms import build
from dunwu.algorithms.batching import Microbatch, TrainStep
from dunwu.algorithms.importance import LEVELS, Correction, correct_for_sampler, measure_correction
from dunwu.config.schema import AlgorithmSpec, CorrectionSpec
from dunwu.metrics import combine, reduce

RATIOS = [[9.0, 2.0, 0.5, 4.0], [9.0, 0.25, 9.0, 9.0]]
"""pi_old / pi_sampler; what ``MASK`` hides is 9 and must count nowhere."""
MASK = torch.tensor([[False, True, True, True], [False, True, False, False]])
CUBE_ROOT = 4.0 ** (1 / 3)


def correct(ratios: Sequence[Sequence[float]], mask: Tensor, **fields: Any) -> Correction:
    old = torch.tensor(ratios).log() - 1.0
    return correct_for_sampler(old.requires_grad_(), torch.full_like(old, -1.0), mask, CorrectionSpec(**fields))


def rows(values: Tensor, mask: Tensor = MASK) -> list[list[float]]:
    return [row[chosen].tolist() for row, chosen in zip(values, mask, strict=True)]


@pytest.mark.parametrize(
    ("fields", "weights"),
    [
        ({"cap": 3.0}, [[2.0, 0.5, 3.0], [0.25]]),
        ({"level": "sequence", "cap": 3.0}, [[3.0, 3.0, 3.0], [0.25]]),
        ({"level": "sequence", "cap": 5.0}, [[4.0, 4.0, 4.0], [0.25]]),
        ({"level": "geometric", "cap": 5.0}, [[CUBE_ROOT] * 3, [0.25]]),
        ({"level": "geometric", "cap": 1.5}, [[1.5] * 3, [0.25]]),
        # IcePop: what lies in [alpha, beta] has its ratio, what lies outside has no loss.
        ({"cap": 3.0, "mask_low": 0.4, "mask_high": 3.0}, [[2.0, 0.5, 0.0], [0.0]]),
        ({"cap": 5.0, "mask_high": 3.0}, [[2.0, 0.5, 0.0], [0.25]]),
        ({"cap": 1.0, "mask_low": 0.5}, [[1.0, 0.5, 1.0], [0.0]]),
        # Masked importance sampling of whole completions.
        ({"level": "sequence", "cap": 3.0, "mask_high": 3.0}, [[0.0, 0.0, 0.0], [0.25]]),
        ({"level": "sequence", "cap": 0.0, "mask_low": 0.3}, [[1.0, 1.0, 1.0], [0.0]]),
        ({"level": "geometric", "cap": 0.0, "mask_low": 0.5, "mask_high": 1.6}, [[1.0, 1.0, 1.0], [0.0]]),
        ({"level": "geometric", "cap": 0.0, "mask_low": 0.2, "mask_high": 1.5}, [[0.0, 0.0, 0.0], [1.0]]),
        # Weights of tokens, masks of completions.
        ({"cap": 3.0, "mask_high": 3.0, "mask_level": "sequence"}, [[0.0, 0.0, 0.0], [0.25]]),
        ({"cap": 3.0, "mask_high": 3.0, "mask_level": "geometric"}, [[2.0, 0.5, 3.0], [0.25]]),
    ],
)
def test_weights_by_hand(fields: Any, weights: list[list[float]]) -> None:
    found = correct(RATIOS, MASK, **fields).weights
    assert not found.requires_grad
    for ours, expected in zip(rows(found), weights, strict=True):
        assert ours == pytest.approx(expected, rel=1e-6)


def test_bounds_belong_to_what_is_kept() -> None:
    mask = torch.ones(1, 2, dtype=torch.bool)
    assert rows(correct([[0.5, 2.0]], mask, mask_low=0.5, mask_high=2.0).weights, mask) == [[0.5, 2.0]]


def test_metrics_by_hand() -> None:
    spec = {"cap": 1.5, "mask_low": 0.3, "mask_high": 3.0}
    metrics = reduce(measure_correction(correct(RATIOS, MASK, **spec), MASK))  # 1.5, 0.5, 0 | 0
    assert metrics == {
        "correction_mean": pytest.approx(2.0 / 4),
        "correction_max": pytest.approx(4.0),
        "correction_sample_size": pytest.approx(4.0 / 2.5 / 4),
        "correction_clipped": pytest.approx(1 / 4),
        "correction_masked": pytest.approx(2 / 4),
        "correction_masked_sequences": pytest.approx(1 / 2),
    }
    capped = reduce(measure_correction(correct(RATIOS, MASK, cap=1.5), MASK))
    assert capped["correction_clipped"] == 2 / 4
    assert not {"correction_masked", "correction_masked_sequences"} & capped.keys()
    masked = reduce(measure_correction(correct(RATIOS, MASK, cap=0.0, mask_low=0.3), MASK))
    assert "correction_clipped" not in masked
    assert masked["correction_mean"] == masked["correction_sample_size"] == 0.75
    small = reduce(measure_correction(correct([[9.0, 0.5]], MASK[:1, :2]), MASK[:1, :2]))
    assert small["correction_max"] == pytest.approx(0.5), "what carries no loss has weight 1, which is not the largest"


def test_metrics_are_those_of_the_whole_however_it_is_cut() -> None:
    spec = {"level": "sequence", "cap": 1.5, "mask_low": 0.3}
    whole = reduce(measure_correction(correct(RATIOS, MASK, **spec), MASK))
    parts = [
        measure_correction(correct([row], MASK[i : i + 1], **spec), MASK[i : i + 1]) for i, row in enumerate(RATIOS)
    ]
    assert reduce(combine(parts)) == pytest.approx(whole)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("level", LEVELS)
def test_long_completions_do_not_overflow(level: Any, sign: float) -> None:
    """32,768 tokens, each 1 nat apart: the product is e^32768."""
    old = torch.full((1, 32_768), -2.0)
    mask = torch.ones_like(old, dtype=torch.bool)
    spec = CorrectionSpec(level=level, cap=1e6, mask_level="sequence", mask_high=10.0)
    correction = correct_for_sampler(old, old - sign, mask, spec)
    assert torch.isfinite(correction.weights).all()
    assert torch.isfinite(correction.ratio).all()
    assert correction.weights.any() == (sign < 0 and level != "sequence")
    assert all(math.isfinite(value) for value in reduce(measure_correction(correction, mask)).values())


def test_padding_changes_no_bit_of_a_weight() -> None:
    """20,000 tokens, alone and beside longer completions."""
    tokens, generator = 20_000, torch.Generator().manual_seed(0)
    apart = 0.1 * torch.randn(1, tokens, generator=generator)
    for level in ("sequence", "geometric"):
        found = set[float]()
        for padding in range(0, 4000, 400):
            old = torch.nn.functional.pad(apart, (0, padding))
            mask = torch.arange(tokens + padding)[None] < tokens
            spec = CorrectionSpec(level=level, cap=1e6)
            found.add(correct_for_sampler(old, torch.zeros_like(old), mask, spec).ratio[0, 0].item())
        assert len(found) == 1


bounds = {"cap": st.sampled_from([0.0, 1.0, 2.0]), "mask_low": st.sampled_from([0.0, 0.5])}
bounds["mask_high"] = st.sampled_from([0.0, 2.0])
log_ratios = st.lists(st.floats(-3.0, 3.0, width=32), min_size=1, max_size=6)


@given(log_ratios, st.fixed_dictionaries(bounds))
@settings(max_examples=50, deadline=None)
def test_of_one_token_all_levels_are_the_same(values: list[float], fields: Any) -> None:
    old = torch.tensor([[0.0, value] for value in values])  # a prompt's token, then the completion's only one
    mask = torch.tensor([[False, True]]).expand(len(values), 2)
    specs = [CorrectionSpec.model_validate({"level": level, **fields}) for level in LEVELS]
    by_token, *others = (correct_for_sampler(old, torch.zeros_like(old), mask, spec) for spec in specs)
    for other in others:
        assert torch.equal(other.weights[mask], by_token.weights[mask])


@given(log_ratios, st.fixed_dictionaries(bounds), st.sampled_from(list(LEVELS)))
@settings(max_examples=50, deadline=None)
def test_what_the_trainer_would_have_drawn_has_weight_one(values: list[float], fields: Any, level: Any) -> None:
    old = torch.tensor([values])
    mask = torch.ones_like(old, dtype=torch.bool)
    correction = correct_for_sampler(old, old.clone(), mask, CorrectionSpec(level=level, **fields))
    assert torch.equal(correction.weights, torch.ones_like(old))


def gradient(
    policy: Tensor, sampler: Tensor, rewards: Tensor, correction: CorrectionSpec | None, **fields: Any
) -> Tensor:
    """The expected gradient of the loss, over every completion of two tokens out of three, exactly.

    Args:
        policy: logits of the first token (row 0), and of the second after each first one (rows 1 to 3).
        sampler: the same of what draws.
        rewards: of each pair of tokens.
        correction: None: there is none.
        **fields: of the algorithm.
    """
    logits = policy.clone().requires_grad_()
    algorithm = build(
        AlgorithmSpec(correction=correction, kl_coefficient=0.0, aggregate="constant", **fields), max_new_tokens=1
    )
    step = TrainStep(microbatches=(), num_loss_tokens=1, num_sequences=1)
    total = torch.zeros(())
    theirs = sampler.log_softmax(1)
    ours = logits.log_softmax(1)
    for first, second in product(range(3), repeat=2):
        drawn = torch.stack([theirs[0, first], theirs[1 + first, second]])[None]
        logprobs = torch.stack([ours[0, first], ours[1 + first, second]])[None]
        batch = Microbatch(
            token_ids=torch.tensor([[first, second]]),
            loss_mask=torch.ones(1, 2, dtype=torch.bool),
            sampler_logprobs=drawn,
            advantages=rewards[first, second].expand(1, 2),
            old_logprobs=None,
            ref_logprobs=None,
            group_ids=(0,),
        )
        total = total + drawn.sum().exp() * algorithm.loss(logprobs, torch.zeros_like(logprobs), batch, step).loss
    (found,) = torch.autograd.grad(total, logits)
    return found


def wrong_by(loss: str, correction: CorrectionSpec | None) -> float:
    """How far the expected gradient lies from that of fresh samples, as a share of it."""
    generator = torch.Generator().manual_seed(5)
    policy = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    sampler = policy + 0.7 * torch.randn(4, 3, generator=generator, dtype=torch.float64)
    rewards = torch.rand(3, 3, generator=generator, dtype=torch.float64)
    fresh = gradient(policy, policy, rewards, None, loss=loss)
    return float((gradient(policy, sampler, rewards, correction, loss=loss) - fresh).norm() / fresh.norm())


@pytest.mark.parametrize("loss", ["grpo", "gspo", "cispo"])
@pytest.mark.parametrize(
    ("level", "cap", "error"),
    [
        (None, 0.0, 1.149),
        ("token", 2.0, 0.219),
        ("sequence", 1.5, 0.303),
        ("sequence", 2.0, 0.091),
        ("sequence", 2.5, 0.034),
        ("sequence", 1e6, 0.0),
        ("geometric", 1e6, 0.568),
    ],
)
def test_a_correction_takes_bias_off_the_expected_gradient(loss: str, level: Any, cap: float, error: float) -> None:
    """Whole completions without bounds leave none, a cap leaves some, tokens that of their prefixes.

    The figures stand in docs/reference/corrections.md.
    """
    correction = None if level is None else CorrectionSpec(level=level, cap=cap)
    assert wrong_by(loss, correction) == pytest.approx(error, abs=1e-3 if error else 1e-12)
