"""KL estimators by hand, and against the exact KL of two distributions."""

from __future__ import annotations

import math

import pytest
import torch

from dunwu.algorithms.kl import ESTIMATORS, k1, k2, k3, still_to_come

POLICY, REFERENCE = torch.tensor([[math.log(0.5)]]), torch.tensor([[math.log(0.25)]])


def test_by_hand() -> None:
    # d = log 0.25 - log 0.5 = -log 2.
    assert k1(POLICY, REFERENCE).item() == pytest.approx(math.log(2))
    assert k2(POLICY, REFERENCE).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert k3(POLICY, REFERENCE).item() == pytest.approx(0.5 + math.log(2) - 1)


@pytest.mark.parametrize("name", ["k1", "k3"])
def test_unbiased(name: str) -> None:
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    exact = (policy * (policy / reference).log()).sum()
    expected = (policy * ESTIMATORS[name](policy.log()[None], reference.log()[None])).sum()
    assert expected.item() == pytest.approx(exact.item(), abs=1e-6)


def test_k2_in_the_loss_has_the_gradient_of_the_kl() -> None:
    logits = torch.tensor([1.0, 0.2, -0.5], requires_grad=True)
    reference = torch.tensor([0.4, 0.4, 0.2]).log()
    policy = logits.log_softmax(0)
    (exact,) = torch.autograd.grad((policy.exp() * (policy - reference)).sum(), logits, retain_graph=True)
    per_token = k2(policy[None], reference[None])[0]
    (expected,) = torch.autograd.grad((policy.exp().detach() * per_token).sum(), logits)
    torch.testing.assert_close(expected, exact)


def test_equal_policies_have_no_kl_and_no_gradient() -> None:
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    k3(logprobs, logprobs.detach()).sum().backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [[0.0, 0.0]]


def test_still_to_come_sums_what_follows_within_the_mask() -> None:
    kl = torch.tensor([[9.0, 1.0, 2.0, 4.0, 9.0]])
    mask = torch.tensor([[False, True, True, True, False]])
    assert still_to_come(kl, mask).tolist() == [[0.0, 7.0, 6.0, 4.0, 0.0]]
