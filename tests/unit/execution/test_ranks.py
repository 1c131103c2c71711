"""A rank builds the trainer of a recipe's stage, from the recipe alone. What several learn: training/test_ranks.py."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed

from dunwu import algorithms, register
from dunwu.algorithms.batching import make_train_step
from dunwu.config.schema import ModelSpec, RewardModelStage, RLStage, SFTStage
from dunwu.errors import UserError
from dunwu.execution.local import LocalExecutor, use_threads
from dunwu.execution.ranks import (
    BatchRankRecipe,
    RankRecipe,
    build_batch_rank,
    build_ranked_batch_trainer,
    build_ranked_trainer,
)
from dunwu.training.rank_group import ONE_RANK
from dunwu.training.reward import VerdictBatch
from dunwu.training.steps import take_step
from dunwu.types import GradedSample, TokenizedExample, TrainSample
from dunwu.workers.inline import InlineLauncher
from dunwu.workers.process import ProcessLauncher

STAGE: dict[str, Any] = {
    "kind": "rl",
    "from": "nano-base",
    "steps": 2,
    "tasks": [{"task": "countdown", "levels": [3]}],
    "algorithm": {"advantage": "gae"},
    "value": {},
    "adapter": {"rank": 2},
}
SEED, VALUE_SEED = 3, 5


def make_recipe(**changes: Any) -> RankRecipe:
    stage = RLStage.model_validate(STAGE)
    recipe = RankRecipe(
        stage=stage,
        model=ModelSpec(device="cpu", threads=1),
        source="nano-base",
        seed=SEED,
        value_source="nano-base",
        value_seed=VALUE_SEED,
    )
    return replace(recipe, **changes)


def test_a_rank_builds_what_one_process_builds() -> None:
    """The same adapter and the same new head of the value network, from the same seeds."""
    recipe, before = pickle.loads(pickle.dumps(make_recipe())), torch.get_num_threads()
    try:
        many = build_ranked_trainer(InlineLauncher(), 1, recipe)
        executor, stage = LocalExecutor(recipe.model, lambda line: None), recipe.stage
        policy = executor.open_policy("nano-base", longest=64, learns=True, generates=False)
        torch.manual_seed(VALUE_SEED)
        network = executor.open_scorer("nano-base", longest=64, new_head=True)
        algorithm = algorithms.build(stage.algorithm, stage.value, max_new_tokens=8)
        one = executor.build_policy_trainer(stage, policy, algorithm, seed=SEED, value_network=network)
        samples = [make_sample(length, length / 10) for length in (4, 9, 6)]
        steps = []
        for trainer in (one, many):
            logprobs = trainer.compute_logprobs(samples)
            advantages = [np.where(sample.loss_mask, sample.reward, 0).astype(np.float32) for sample in samples]
            batch = [
                TrainSample(sample=sample, logprobs=own, advantages=each, returns=each, kept_advantages=each)
                for sample, own, each in zip(samples, logprobs, advantages, strict=True)
            ]
            steps.append(make_train_step(batch, 64))
        for at in range(2):
            alone, together = take_step(one, steps[0], at=at), take_step(many, steps[1], at=at)
            assert together.metrics == pytest.approx(alone.metrics, rel=1e-5, abs=1e-6)
    finally:
        distributed.destroy_process_group()
        use_threads(before)


def make_sample(length: int, reward: float) -> GradedSample:
    mask = np.arange(length) >= 2
    return GradedSample(
        token_ids=(np.arange(length, dtype=np.int32) * 7) % 300,
        loss_mask=mask,
        sampler_logprobs=-mask.astype(np.float32),
        group_id=0,
        member=length,
        reward=reward,
        policy_version=0,
    )


def test_a_loss_that_ranks_cannot_find_is_refused_before_they_start() -> None:
    @register.loss("mine")
    def mine(*_: Any) -> Any: ...

    stage = RLStage.model_validate(STAGE | {"algorithm": {"advantage": "gae", "loss": "mine"}})
    launcher = ProcessLauncher()
    with pytest.raises(UserError, match=r"algorithm\.loss: mine is known in this process alone"):
        build_ranked_trainer(launcher, 2, make_recipe(stage=stage))
    assert launcher._workers == []


@pytest.mark.parametrize(
    "stage",
    [
        SFTStage.model_validate({"kind": "sft", "from": "nano-base", "data": ["texts"]}),
        RewardModelStage.model_validate(
            {"kind": "reward_model", "from": "nano-base", "data": ["texts"], "learn_from": "verdicts", "input": "all"}
        ),
    ],
    ids=["supervised", "reward"],
)
def test_a_rank_of_given_batches_is_what_one_process_builds(stage: SFTStage | RewardModelStage) -> None:
    recipe = BatchRankRecipe(
        stage=stage, model=ModelSpec(device="cpu", threads=1), source="nano-base", seed=3, total_steps=4, head_seed=5
    )
    texts = [make_sample(length, 0.0).token_ids for length in (4, 9, 6)]
    batch: Any = VerdictBatch(each=texts, good=[True, False, True])
    if isinstance(stage, SFTStage):
        batch = [TokenizedExample(token_ids=text, loss_mask=np.arange(len(text)) > 1) for text in texts]
    before = torch.get_num_threads()
    try:
        many = build_ranked_batch_trainer(InlineLauncher(), 1, recipe, spread=isinstance(stage, SFTStage))
        one = build_batch_rank(pickle.loads(pickle.dumps(recipe)), ONE_RANK)
        for at in range(2):
            assert take_step(many, batch, at=at) == take_step(one, batch, at=at)
    finally:
        distributed.destroy_process_group()
        use_threads(before)
