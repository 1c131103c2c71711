"""A loss and an advantage of one's own, by name or by file: no file of the package is edited."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dunwu import register, registry
from dunwu.algorithms import Algorithm, assign_advantages, build
from dunwu.algorithms.batching import make_train_step
from dunwu.algorithms.losses import Objective
from dunwu.config.schema import AlgorithmSpec
from dunwu.errors import UserError
from dunwu.types import GradedSample, SampleLogprobs
from dunwu.user_code import load_reference

OWN = """
from dunwu.algorithms.losses import Objective

def reinforce(logprobs_BT, old_logprobs_BT, mask_BT, advantages_BT, clip):
    return Objective(values=advantages_BT * logprobs_BT)

def wins_only(rewards_G):
    return [max(reward, 0.0) for reward in rewards_G]
"""
MASK = np.array([False, True, True])
SAMPLE = GradedSample(
    token_ids=np.zeros(3, np.int32),
    loss_mask=MASK,
    sampler_logprobs=np.zeros(3, np.float32),
    group_id=0,
    member=1,
    reward=2.0,
    policy_version=0,
)
OLD = SampleLogprobs(old_logprobs=np.array([0, -1, -1], np.float32), ref_logprobs=None)
LOGPROBS = torch.tensor([[0.0, -1.0, -0.5]])


@pytest.fixture(params=["by file", "by name"])
def own(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a recipe says of them."""
    file = tmp_path / "mine.py"
    file.write_text(OWN, encoding="utf-8")
    references = {"loss": f"{file}:reinforce", "advantage": f"{file}:wins_only"}
    if request.param == "by name":
        for names, field in ((registry.losses, "loss"), (registry.advantages, "advantage")):
            monkeypatch.setattr(names, "_entries", dict(names._entries))
            names.register(f"own-{field}")(load_reference(references[field]))
            references[field] = f"own-{field}"
    return references


def built(**names: str) -> Algorithm:
    return build(AlgorithmSpec(aggregate="token", kl_coefficient=0.0).model_copy(update=names), max_new_tokens=2)


def test_they_are_what_a_run_maximises(own: dict[str, str]) -> None:
    algorithm = built(**own)
    batch = assign_advantages([SAMPLE], [OLD], [np.array([-1.0, 2.0])], algorithm)
    assert batch[0].advantages.tolist() == [0.0, 2.0, 2.0]
    step = make_train_step(batch, 100)
    logprobs = LOGPROBS.clone().requires_grad_()
    output = algorithm.loss(logprobs, torch.zeros(1, 3), step.microbatches[0], step)
    assert output.loss.item() == pytest.approx(-(2 * -1.0 + 2 * -0.5) / 2)
    (grad,) = torch.autograd.grad(output.loss, logprobs)
    assert grad.tolist() == [[0.0, -1.0, -1.0]]
    numbers: dict[str, Any] = {name: metric.value for name, metric in output.metrics.items()}
    assert numbers["ratio_max"] == pytest.approx(np.exp(0.5))
    assert (numbers["clip_low"], numbers["clip_high"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda values: values, "odd gives Tensor, not an Objective"),
        (lambda values: None, "odd gives NoneType, not an Objective"),
        (lambda values: Objective(values=values.mean()), r"gives values = a tensor of \[\], not a tensor of \[1, 3\]"),
        (lambda values: Objective(values=values.detach()), "gives values without a gradient"),
        (lambda values: Objective(values=values, ratio=values.mean()), r"gives ratio = a tensor of \[\], not"),
        (lambda values: Objective(values=values, clipped_low=0.5), r"gives clipped_low = 0.5, not"),  # type: ignore[arg-type]
        (lambda values: 1 / 0, r"odd raised ZeroDivisionError: division by zero \(test_own_functions.py, line \d+\)"),
        (lambda values: sys.exit(0), r"odd raised SystemExit: 0 \(test_own_functions.py"),
    ],
    ids=["a tensor", "nothing", "one number", "constants", "one ratio", "no tensor", "raises", "exits"],
)
def test_a_loss_that_gives_something_else_is_refused(given: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.losses, "_entries", dict(registry.losses._entries))

    @register.loss("odd")
    def odd(logprobs_BT: Tensor, *_: object) -> Any:
        return given(logprobs_BT)

    algorithm = built(loss="odd")
    batch = assign_advantages([SAMPLE], [OLD], [np.array([-1.0, 2.0])], algorithm)
    step = make_train_step(batch, 100)
    with pytest.raises(UserError, match=f"^algorithm.loss: .*{message}"):
        algorithm.loss(LOGPROBS.clone().requires_grad_(), torch.zeros(1, 3), step.microbatches[0], step)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda rewards: "many", "gives 'many' for 2 rewards"),
        (lambda rewards: [[1], [1, 2]], r"gives \[\[1\], \[1, 2\]\] for 2 rewards"),
        (lambda rewards: rewards * 1j, r"gives \[\(-0-1j\), 2j\] for 2 rewards"),
        (lambda rewards: rewards * 1e300, r"gives \[-1e\+300, 2e\+300\] for 2 rewards"),
        (lambda rewards: rewards.nothing, "raised AttributeError: .* has no attribute 'nothing'"),
        (lambda rewards: sys.exit(0), "raised SystemExit: 0"),
    ],
    ids=["text", "ragged", "complex", "too large", "raises", "exits"],
)
def test_an_advantage_that_is_none_is_refused(given: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.advantages, "_entries", dict(registry.advantages._entries))
    register.advantage("odd")(given)
    with pytest.raises(UserError, match=f"^algorithm.advantage: odd {message}"):
        assign_advantages([SAMPLE], [OLD], [np.array([-1.0, 2.0])], built(advantage="odd"))


def test_an_advantage_cannot_change_the_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(rewards_G: np.ndarray) -> np.ndarray:
        rewards_G *= 0
        return rewards_G

    monkeypatch.setattr(registry.advantages, "_entries", dict(registry.advantages._entries))
    register.advantage("greedy")(greedy)
    rewards = np.array([-1.0, 2.0])
    assign_advantages([SAMPLE], [OLD], [rewards], built(advantage="greedy"))
    assert rewards.tolist() == [-1.0, 2.0]


def test_a_name_that_leads_to_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="no loss is called 'grp'; did you mean grpo"):
        built(loss="grp")
