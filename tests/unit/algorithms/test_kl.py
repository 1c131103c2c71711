"""KL estimators by hand, and against the exact KL of two distributions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dunwu.algorithms.kl import ESTIMATORS, correct_for_old_policy, k1, k2, k3, sum_to_end

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


LOGITS, OLD, REFERENCE_3 = torch.tensor([1.0, 0.2, -0.5]), torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.4, 0.4, 0.2])


def expected_gradient(per_token: Callable[[Tensor], Tensor], drawn_by: Tensor) -> Tensor:
    """The gradient of a loss term, averaged over every token that ``drawn_by`` may draw with its probability."""
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((drawn_by * per_token(logits.log_softmax(0)[None])[0]).sum(), logits)
    return gradient


def exact_gradient() -> Tensor:
    """Of KL(policy || reference), summed over the three tokens."""
    logits = LOGITS.clone().requires_grad_()
    policy = logits.log_softmax(0)
    (gradient,) = torch.autograd.grad((policy.exp() * (policy - REFERENCE_3.log())).sum(), logits)
    return gradient


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("drawn_by", [OLD, LOGITS.softmax(0)], ids=["older policy", "policy itself"])
def test_corrected_the_gradient_is_the_kl_s_whoever_drew_the_tokens(estimator: str, drawn_by: Tensor) -> None:
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    found = expected_gradient(
        lambda policy: correct_for_old_policy(
            estimator, policy, REFERENCE_3.log()[None], drawn_by.log()[None], everywhere
        ),
        drawn_by,
    )
    torch.testing.assert_close(found, exact_gradient())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_uncorrected_it_is_not_once_the_policy_has_moved(estimator: str) -> None:
    found = expected_gradient(lambda policy: ESTIMATORS[estimator](policy, REFERENCE_3.log()[None]), OLD)
    assert (found - exact_gradient()).abs().max() > 0.02


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_corrected_the_value_is_the_kl(estimator: str) -> None:
    policy, everywhere = LOGITS.log_softmax(0), torch.ones(1, 3, dtype=torch.bool)
    found = correct_for_old_policy(estimator, policy[None], REFERENCE_3.log()[None], OLD.log()[None], everywhere)
    exact = (policy.exp() * (policy - REFERENCE_3.log())).sum()
    assert (OLD * found[0]).sum().item() == pytest.approx(exact.item(), abs=1e-6)


def test_corrected_by_hand() -> None:
    # The policy gives 0.5 to what the old one gave 0.25; masked, a token weighs 1.
    for mask, weight in ((True, 2.0), (False, 1.0)):
        found = correct_for_old_policy(
            "k3", POLICY, REFERENCE, torch.tensor([[math.log(0.25)]]), torch.tensor([[mask]])
        )
        assert found.item() == pytest.approx(weight * (0.5 + math.log(2) - 1))


def test_equal_policies_have_no_kl_and_no_gradient() -> None:
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    k3(logprobs, logprobs.detach()).sum().backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [[0.0, 0.0]]


def test_sum_to_end_sums_what_follows_within_the_mask() -> None:
    kl = torch.tensor([[9.0, 1.0, 2.0, 4.0, 9.0]])
    mask = torch.tensor([[False, True, True, True, False]])
    assert sum_to_end(kl, mask).tolist() == [[0.0, 7.0, 6.0, 4.0, 0.0]]
