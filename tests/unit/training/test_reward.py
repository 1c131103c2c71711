"""Reward models: losses by hand, cuts that change nothing, a resume bit for bit, and that they learn."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dunwu.config.schema import OptimizerSpec, PassSpec
from dunwu.errors import UserError
from dunwu.models.load import load_scorer, save_policy
from dunwu.models.policy import Policy
from dunwu.training.reward import PairBatch, RewardTrainer, Tokens, VerdictBatch
from dunwu.training.steps import take_step

MakePolicy = Callable[..., Policy]
OPTIMIZER = OptimizerSpec(lr=3e-3)


@pytest.fixture
def scorer(make_policy: MakePolicy, tmp_path: Path) -> Callable[[], Policy]:
    """The tiny model of the other tests, with a head of one number; each call gives it anew."""
    save_policy(make_policy(vocab_size=320), tmp_path / "base")

    def load() -> Policy:
        torch.manual_seed(7)
        return load_scorer(str(tmp_path / "base"), device="cpu", new_head=True)

    return load


def texts(count: int, marker: int, seed: int) -> list[Tokens]:
    """Random tokens from 8 on, of unlike lengths, with ``marker`` somewhere."""
    rng = np.random.default_rng(seed)
    made = [rng.integers(8, 48, rng.integers(3, 20)).astype(np.int32) for _ in range(count)]
    for text in made:
        text[rng.integers(len(text))] = marker
    return made


def pairs(chosen: list[Tokens], rejected: list[Tokens]) -> PairBatch:
    return PairBatch(chosen=chosen, rejected=rejected)


def trainer(policy: Policy, tokens: int = 10_000) -> RewardTrainer:
    return RewardTrainer(policy, OPTIMIZER, PassSpec(tokens_per_microbatch=tokens), total_steps=40)


def test_scores_are_those_of_transformers(scorer: Callable[[], Policy]) -> None:
    policy, many = scorer(), texts(6, 3, 0)
    with torch.no_grad():
        expected = [policy.model(torch.from_numpy(text.astype(np.int64))[None]).logits.item() for text in many]
    assert trainer(policy).score(many) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_pairs_and_verdicts_by_hand(scorer: Callable[[], Policy]) -> None:
    good, bad = texts(5, 3, 0), texts(5, 4, 1)
    before = trainer(scorer())
    margins = before.score(good) - before.score(bad)
    metrics = take_step(trainer(scorer()), pairs(good, bad), at=0).metrics
    assert metrics["loss"] == pytest.approx(np.mean([math.log1p(math.exp(-margin)) for margin in margins]), rel=1e-4)
    assert metrics["accuracy"] == np.mean(margins > 0)

    verdicts = [True, False, True, True, False]
    logits = before.score(good)
    expected = [math.log1p(math.exp(-x if right else x)) for x, right in zip(logits, verdicts, strict=True)]
    metrics = take_step(trainer(scorer()), VerdictBatch(each=good, good=verdicts), at=0).metrics
    assert metrics["loss"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert metrics["accuracy"] == np.mean((logits > 0) == np.array(verdicts))


def test_microbatches_change_nothing(scorer: Callable[[], Policy]) -> None:
    good, bad = texts(9, 3, 0), texts(9, 4, 1)
    whole, cut = trainer(scorer()), trainer(scorer(), tokens=50)
    for made in (whole, cut):
        take_step(made, pairs(good, bad), at=0)
    both = [dict(take_step(made, VerdictBatch(each=good, good=[True] * 9), at=1).metrics) for made in (whole, cut)]
    assert both[0] == pytest.approx(both[1], rel=1e-3)


@pytest.mark.parametrize("in_pairs", [True, False])
def test_it_learns_what_tells_the_texts_apart(scorer: Callable[[], Policy], in_pairs: bool) -> None:
    made = trainer(scorer())
    for step in range(40):
        good, bad = texts(16, 3, 2 * step), texts(16, 4, 2 * step + 1)
        if in_pairs:
            take_step(made, pairs(good, bad), at=step)
        else:
            take_step(made, VerdictBatch(each=[*good, *bad], good=[True] * 16 + [False] * 16), at=step)
    good, bad = texts(100, 3, 1000), texts(100, 4, 1001)
    assert np.mean(made.score(good) > made.score(bad)) > 0.95
    if not in_pairs:
        assert np.mean(made.score(good) > 0) > 0.9
        assert np.mean(made.score(bad) < 0) > 0.9


def test_a_resumed_trainer_goes_on_bit_for_bit(scorer: Callable[[], Policy], tmp_path: Path) -> None:
    good, bad = texts(8, 3, 0), texts(8, 4, 1)
    straight = trainer(scorer())
    take_step(straight, pairs(good, bad), at=0)
    straight.save(tmp_path / "saved")
    take_step(straight, pairs(bad, good), at=1)
    resumed = trainer(scorer())
    resumed.load(tmp_path / "saved")
    assert resumed.version == 1
    take_step(resumed, pairs(bad, good), at=1)
    assert np.array_equal(resumed.score(good), straight.score(good))


def test_a_saved_scorer_is_an_ordinary_checkpoint(scorer: Callable[[], Policy], tmp_path: Path) -> None:
    good, bad = texts(8, 3, 0), texts(8, 4, 1)
    made = trainer(scorer())
    take_step(made, pairs(good, bad), at=0)
    made.save_model(tmp_path / "model")
    loaded = trainer(load_scorer(str(tmp_path / "model"), device="cpu"))
    assert np.array_equal(loaded.score(good), made.score(good))


def test_a_model_without_a_head_is_none(scorer: Callable[[], Policy], tmp_path: Path) -> None:
    scorer()
    with pytest.raises(UserError, match=r"weights are missing: score\.weight; this is no reward model"):
        load_scorer(str(tmp_path / "base"), device="cpu")
