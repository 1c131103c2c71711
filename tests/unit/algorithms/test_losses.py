"""Objectives, aggregation and correction by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dunwu.algorithms.aggregation import average_by_sequence, average_by_token, divide_by_constant
from dunwu.algorithms.batching import TrainStep
from dunwu.algorithms.losses import Clip, Objective, cispo, grpo, gspo

STANDARD = Clip(low=0.2, high=0.3)


def known(flags: Tensor | None) -> Tensor:
    assert flags is not None
    return flags


def objective_and_slope(loss: object, ratios: list[float], advantage: float, clip: Clip) -> tuple[Objective, Tensor]:
    """The objective of one sequence with these token ratios, and the gradient of its sum to the log-probabilities."""
    assert callable(loss)
    old = torch.full((1, len(ratios)), -1.0)
    logprobs = (old + torch.tensor([ratios]).log()).requires_grad_()
    objective = loss(logprobs, old, torch.ones(1, len(ratios), dtype=torch.bool), torch.full_like(old, advantage), clip)
    assert isinstance(objective, Objective)
    (slope,) = torch.autograd.grad(objective.values.sum(), logprobs)
    return objective, slope[0]


def test_grpo_with_a_good_token() -> None:
    objective, slope = objective_and_slope(grpo, [0.5, 1.0, 1.2, 2.0], 2.0, STANDARD)
    # min(ratio, clip) A: the bound at 1.3 holds the last one, and takes its gradient.
    torch.testing.assert_close(objective.values, torch.tensor([[1.0, 2.0, 2.4, 2.6]]))
    torch.testing.assert_close(slope, torch.tensor([1.0, 2.0, 2.4, 0.0]))
    assert known(objective.clipped_high).tolist() == [[False, False, False, True]]
    assert not known(objective.clipped_low).any()


def test_grpo_with_a_bad_token() -> None:
    objective, slope = objective_and_slope(grpo, [0.5, 1.0, 2.0], -1.0, STANDARD)
    torch.testing.assert_close(objective.values, torch.tensor([[-0.8, -1.0, -2.0]]))
    torch.testing.assert_close(slope, torch.tensor([0.0, -1.0, -2.0]))
    assert known(objective.clipped_low).tolist() == [[True, False, False]]


def test_clip_of_ten_leaves_only_the_bound_at_eleven_for_good_tokens() -> None:
    ratios = [1e-4, 0.5, 10.9, 11.1, 30.0]
    good, slope = objective_and_slope(grpo, ratios, 1.0, Clip(low=10.0, high=10.0))
    torch.testing.assert_close(good.values, torch.tensor([[1e-4, 0.5, 10.9, 11.0, 11.0]]))
    torch.testing.assert_close(slope, torch.tensor([1e-4, 0.5, 10.9, 0.0, 0.0]))
    bad, slope = objective_and_slope(grpo, ratios, -1.0, Clip(low=10.0, high=10.0))
    torch.testing.assert_close(bad.values, -torch.tensor([ratios]))
    torch.testing.assert_close(slope, -torch.tensor(ratios))
    assert not known(bad.clipped_low).any()
    assert not known(bad.clipped_high).any()


def test_gspo_clips_the_geometric_mean() -> None:
    # sqrt(4 x 1) = 2, above 1.3: the whole sequence is held, though its second token is at 1.
    objective, slope = objective_and_slope(gspo, [4.0, 1.0], 1.0, STANDARD)
    torch.testing.assert_close(objective.values, torch.tensor([[1.3, 1.3]]))
    assert slope.tolist() == [0.0, 0.0]
    # sqrt(1.44 x 1) = 1.2, inside: value 1.2 everywhere; the sequence's gradient is 1.2 A for each token of it.
    objective, slope = objective_and_slope(gspo, [1.44, 1.0], 1.0, STANDARD)
    torch.testing.assert_close(objective.values, torch.tensor([[1.2, 1.2]]))
    torch.testing.assert_close(slope, torch.tensor([1.2, 1.2]))


def test_gspo_token_form_has_the_gradient_of_the_sequence_form() -> None:
    old = torch.tensor([[-1.0, -2.0, -0.5]])
    logprobs = torch.tensor([[-1.1, -1.9, -0.4]], requires_grad=True)
    mask = torch.ones(1, 3, dtype=torch.bool)
    (ours,) = torch.autograd.grad(
        gspo(logprobs, old, mask, torch.full_like(old, 0.7), STANDARD).values.mean(), logprobs
    )
    sequence_ratio = (logprobs - old).mean().exp()  # equation 7
    (paper,) = torch.autograd.grad(sequence_ratio * 0.7, logprobs)  # equation 5, inside the clip
    torch.testing.assert_close(ours, paper)


def test_cispo_clips_the_weight_and_keeps_the_gradient() -> None:
    objective, slope = objective_and_slope(cispo, [0.5, 1.0, 2.0], 2.0, STANDARD)
    torch.testing.assert_close(slope, torch.tensor([1.6, 2.0, 2.6]))
    logprobs = -1.0 + torch.tensor([0.5, 1.0, 2.0]).log()
    torch.testing.assert_close(objective.values[0], torch.tensor([1.6, 2.0, 2.6]) * logprobs)


def step(num_loss_tokens: int, num_sequences: int) -> TrainStep:
    return TrainStep(microbatches=(), num_loss_tokens=num_loss_tokens, num_sequences=num_sequences)


def test_aggregation() -> None:
    values = torch.tensor([[9.0, 1.0, 2.0, 3.0], [9.0, 10.0, 9.0, 9.0]])
    mask = torch.tensor([[False, True, True, True], [False, True, False, False]])
    assert average_by_sequence(values, mask, step(4, 2)).item() == pytest.approx((2.0 + 10.0) / 2)
    assert average_by_token(values, mask, step(4, 2)).item() == pytest.approx(16.0 / 4)
    assert divide_by_constant(8)(values, mask, step(4, 2)).item() == pytest.approx(16.0 / (2 * 8))
