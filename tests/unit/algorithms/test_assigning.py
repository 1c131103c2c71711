"""Where every token's advantage is decided: groups, replayed samples, KL in the reward, and a value network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float32

from dunwu import registry
from dunwu.algorithms import Algorithm, assign_advantages, build
from dunwu.config.schema import AlgorithmSpec, ValueSpec
from dunwu.errors import UserError
from dunwu.types import GradedSample, SampleLogprobs

PROMPT = 2


def algorithm(value: dict[str, Any] | None = None, **spec: Any) -> Algorithm:
    value_spec = None if value is None else ValueSpec.model_validate({"whiten": False} | value)
    return build(AlgorithmSpec(**spec), value_spec, max_new_tokens=20)


def sample(tokens: int, *, group: int = 0, member: int = 0, reward: float = 0.0) -> GradedSample:
    mask = np.arange(PROMPT + tokens) >= PROMPT
    return GradedSample(
        token_ids=np.zeros(len(mask), np.int32),
        loss_mask=mask,
        sampler_logprobs=np.zeros(len(mask), np.float32),
        group_id=group,
        member=member,
        reward=reward,
        policy_version=0,
    )


def row(*completion: float) -> Float32[np.ndarray, " L"]:
    return np.array([0.0] * PROMPT + list(completion), np.float32)


NOTHING = SampleLogprobs(old_logprobs=None, ref_logprobs=None)
REWARDS = [np.array([1.0, 3.0]), np.zeros(0), np.array([0.0, 0.0, 6.0])]
"""Of three groups, the second of which could not be graded."""


def test_every_token_of_a_completion_has_what_it_earned_in_its_group() -> None:
    samples = [sample(1, group=0, member=1), sample(3, group=2, member=0), sample(2, group=2, member=2)]
    made = assign_advantages(samples, [NOTHING] * 3, REWARDS, algorithm(advantage="group-mean"))
    assert [one.advantages.tolist() for one in made] == [[0, 0, 1], [0, 0, -2, -2, -2], [0, 0, 4, 4]]
    assert [one.kept_advantages.tolist() for one in made] == [one.advantages.tolist() for one in made]
    assert all(one.advantages.dtype == np.float32 and one.returns is None for one in made)
    assert [one.sample for one in made] == samples


def test_a_replayed_sample_keeps_what_its_group_once_gave_it() -> None:
    """Its group's number and rewards are not here any more."""
    samples = [sample(1, group=0, member=0), sample(2, group=9_000_000)]
    made = assign_advantages(samples, [NOTHING] * 2, REWARDS, algorithm(advantage="group-mean"), kept=[row(0.5, 0.5)])
    assert [one.advantages.tolist() for one in made] == [[0, 0, -1], [0, 0, 0.5, 0.5]]


@pytest.mark.parametrize("replayed", [False, True])
def test_kl_in_the_reward_moves_the_advantage_of_what_came_before(replayed: bool) -> None:
    """k1 is 1 and 3: the first token answers for both, the second for its own. A replay buffer keeps the rest."""
    own = SampleLogprobs(old_logprobs=row(-1, -1), ref_logprobs=row(-2, -4))
    spec = algorithm(advantage="group-mean", kl_in="reward", kl_estimator="k1", kl_coefficient=0.1)
    kept = [row(1, 1)] if replayed else []
    (made,) = assign_advantages([sample(2, group=0, member=1)], [own], REWARDS, spec, kept=kept)
    assert made.advantages == pytest.approx(row(1 - 0.4, 1 - 0.3))
    assert made.kept_advantages.tolist() == row(1, 1).tolist()


@pytest.mark.parametrize("spec", [{"kl_in": "loss", "kl_coefficient": 0.5}, {"kl_in": "reward", "kl_coefficient": 0.0}])
def test_kl_elsewhere_moves_no_advantage(spec: dict[str, Any]) -> None:
    ref = row(-2, -4) if spec["kl_coefficient"] else None
    own = SampleLogprobs(old_logprobs=row(-1, -1), ref_logprobs=ref)
    (made,) = assign_advantages(
        [sample(2, group=0, member=1)], [own], REWARDS, algorithm(advantage="group-mean", **spec)
    )
    assert made.advantages.tolist() == row(1, 1).tolist()


def valued(*values: float) -> SampleLogprobs:
    return SampleLogprobs(old_logprobs=row(*values) * 0 - 1, ref_logprobs=None, old_values=row(*values))


def test_a_value_network_s_advantages_by_hand() -> None:
    """With lambda 0.5 and no discount: deltas 0.3, 0.4, 0.5 from the values 0.2, 0.5, 0.9 and the reward 1.4."""
    (made,) = assign_advantages(
        [sample(3, reward=1.4)], [valued(0.2, 0.5, 0.9)], [], algorithm({"lambda": 0.5}, advantage="gae")
    )
    expected = row(0.3 + 0.2 + 0.125, 0.4 + 0.25, 0.5)
    assert made.advantages == pytest.approx(expected, abs=1e-6)
    assert made.returns is not None
    assert made.returns == pytest.approx(expected + row(0.2, 0.5, 0.9), abs=1e-6)
    assert made.kept_advantages.tolist() == made.advantages.tolist()


def test_with_lambda_one_returns_are_what_was_got() -> None:
    samples = [sample(n, reward=float(n % 3)) for n in range(1, 9)]
    values = [valued(*np.linspace(-1, 1, n)) for n in range(1, 9)]
    for made in assign_advantages(samples, values, [], algorithm({"lambda": 1.0}, advantage="gae")):
        mask = made.sample.loss_mask
        assert made.returns is not None
        assert made.logprobs.old_values is not None
        assert made.returns[mask] == pytest.approx(made.sample.reward, abs=1e-5)
        assert made.advantages[mask] == pytest.approx(made.sample.reward - made.logprobs.old_values[mask], abs=1e-5)
        assert not made.advantages[~mask].any()


def test_advantages_are_whitened_over_all_tokens_and_returns_are_not() -> None:
    samples, values = [sample(1, reward=1.0), sample(3, reward=-2.0)], [valued(0.5), valued(0.1, 0.2, 0.3)]
    plain, white = (
        assign_advantages(samples, values, [], algorithm({"whiten": whiten}, advantage="gae"))
        for whiten in (False, True)
    )
    tokens = [np.concatenate([one.advantages[one.sample.loss_mask] for one in made]) for made in (plain, white)]
    np.testing.assert_allclose(tokens[1], (tokens[0] - tokens[0].mean()) / tokens[0].std(), rtol=1e-5)
    assert [np.array_equal(a.returns, b.returns) for a, b in zip(plain, white, strict=True)] == [True, True]  # type: ignore[arg-type]


def test_before_a_value_network_kl_is_paid_at_every_token() -> None:
    tokens = 5
    own = SampleLogprobs(
        old_logprobs=row(*[0.25] * tokens), ref_logprobs=row(*[0.0] * tokens), old_values=row(*[0.0] * tokens)
    )
    spec = algorithm({"lambda": 1.0}, advantage="gae", kl_in="reward", kl_estimator="k1", kl_coefficient=0.5)
    (made,) = assign_advantages([sample(tokens)], [own], [], spec)
    assert made.returns == pytest.approx(row(*[-0.125 * (tokens - t) for t in range(tokens)]), abs=1e-6)


def test_a_value_network_judges_replayed_samples_anew() -> None:
    samples, values = [sample(1, reward=1.0), sample(1, reward=2.0)], [valued(0.5), valued(0.25)]
    made = assign_advantages(samples, values, [], algorithm({}, advantage="gae"), kept=[row(77)])
    assert [one.advantages[-1] for one in made] == [0.5, 1.75]


Given = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("given", "shown"),
    [(lambda r: r[:1], r"gives \[1.0\]"), (lambda r: r * np.nan, r"gives \[nan, nan\]"), (lambda r: 1.0, "gives 1.0")],
    ids=["too few", "nan", "one for all"],
)
def test_a_function_of_the_user_s_that_gives_no_advantages_is_refused(
    given: Given, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.advantages, "load", lambda name: given)
    with pytest.raises(UserError, match=f"algorithm.advantage: group-std {shown} for 2 rewards, not one finite number"):
        assign_advantages([sample(1)], [NOTHING], REWARDS, algorithm())


def test_a_function_of_the_user_s_may_give_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def above_the_median(rewards_G: np.ndarray) -> Sequence[float]:
        return [float(reward - np.median(rewards_G)) for reward in rewards_G]

    monkeypatch.setattr(registry.advantages, "load", lambda name: above_the_median)
    (made,) = assign_advantages([sample(2, group=2, member=2)], [NOTHING], REWARDS, algorithm())
    assert made.advantages.tolist() == row(6, 6).tolist()
