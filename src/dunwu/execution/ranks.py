"""Builds trainers over several workers, each of which opens the models for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from dunwu import algorithms, registry
from dunwu.algorithms.group_baselines import GAE
from dunwu.config.schema import ModelSpec, RewardModelStage, RLStage, SFTStage
from dunwu.execution.local import LocalExecutor, use_threads
from dunwu.machine import usable_cores
from dunwu.models.places import find_device
from dunwu.training.rank_group import RankGroup
from dunwu.training.rank_host import RankHost
from dunwu.training.ranks import RankedBatchTrainer, RankedTrainer
from dunwu.training.reward import RewardTrainer
from dunwu.training.supervised import SupervisedTrainer
from dunwu.training.trainer import Trainer
from dunwu.workers.worker import Launcher, Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRecipe:
    """All that a rank needs to build the trainer of a stage of reinforcement learning, wherever it is.

    Attributes:
        stage: the recipe's.
        model: how the stage's models are held; without a number of threads, ranks share this machine's cores.
        source: the model that the stage starts from, as all ranks find it.
        seed: of an adapter's first weights.
        value_source: the value network's, where there is one.
        value_seed: of its new head.
    """

    stage: RLStage
    model: ModelSpec
    source: str
    seed: int
    value_source: str | None = None
    value_seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRankRecipe:
    """The same for a stage that learns from given batches.

    Attributes:
        stage: the recipe's.
        model: see ``RankRecipe``.
        source: see ``RankRecipe``.
        seed: see ``RankRecipe``.
        total_steps: updates of the whole stage.
        head_seed: of a reward model's new head.
    """

    stage: SFTStage | RewardModelStage
    model: ModelSpec
    source: str
    seed: int
    total_steps: int
    head_seed: int = 0


def build_ranked_trainer(
    launcher: Launcher, count: int, recipe: RankRecipe, *, gpus: float = 0.0, spread: bool = False
) -> RankedTrainer:
    """Build the trainer of a stage of reinforcement learning over several ranks.

    Args:
        launcher: starts the workers, and ends them.
        count: of the ranks.
        recipe: what they build.
        gpus: devices of each.
        spread: whether the launcher may put them on several machines.

    Raises:
        UserError: there is no place for a worker; no other process could find the loss by its name; or see
            ``Executor.build_policy_trainer``.
        Fault: a rank was lost before it was ready.
    """
    recipe = replace(recipe, stage=_name_functions(recipe.stage), model=_share_cores(recipe.model, count))
    workers = _launch(launcher, count, recipe.model, gpus, spread)
    tokens = recipe.stage.update.tokens_per_microbatch
    return RankedTrainer(workers, partial(build_rank, recipe), tokens_per_microbatch=tokens)


def build_ranked_batch_trainer(
    launcher: Launcher, count: int, recipe: BatchRankRecipe, *, gpus: float = 0.0, spread: bool = False
) -> RankedBatchTrainer:
    """Build a supervised trainer, or that of a reward model, over several ranks.

    Args:
        launcher: see ``build_ranked_trainer``.
        count: of the ranks.
        recipe: what they build.
        gpus: devices of each.
        spread: whether the launcher may put them on several machines.

    Raises:
        UserError: there is no place for a worker; or see ``Executor.build_policy_trainer``.
        Fault: a rank was lost before it was ready.
    """
    recipe = replace(recipe, model=_share_cores(recipe.model, count))
    return RankedBatchTrainer(_launch(launcher, count, recipe.model, gpus, spread), partial(build_batch_rank, recipe))


def build_rank(recipe: RankRecipe, ranks: RankGroup) -> Trainer:
    """Build the trainer of one rank, in its worker.

    Args:
        recipe: what is built.
        ranks: of the trainer.

    Raises:
        UserError: see ``Executor.build_policy_trainer``.
    """
    stage, executor = recipe.stage, _open_executor(recipe.model)
    policy = executor.open_policy(recipe.source, longest=stage.longest_sequence, learns=True, generates=False)
    algorithm = algorithms.build_for_stage(stage)
    value_network = None
    if recipe.value_source is not None:
        torch.manual_seed(recipe.value_seed)
        value_network = executor.open_scorer(recipe.value_source, longest=stage.longest_sequence, new_head=True)
    return executor.build_policy_trainer(
        stage, policy, algorithm, seed=recipe.seed, value_network=value_network, ranks=ranks
    )


def build_batch_rank(recipe: BatchRankRecipe, ranks: RankGroup) -> SupervisedTrainer | RewardTrainer:
    """Build the trainer of one rank, in its worker.

    Args:
        recipe: what is built.
        ranks: of the trainer.

    Raises:
        UserError: see ``Executor.build_policy_trainer``.
    """
    stage, executor = recipe.stage, _open_executor(recipe.model)
    common: dict[str, Any] = {"total_steps": recipe.total_steps, "seed": recipe.seed, "ranks": ranks}
    if isinstance(stage, RewardModelStage):
        torch.manual_seed(recipe.head_seed)
        scorer = executor.open_scorer(recipe.source, longest=stage.max_tokens, new_head=True)
        return executor.build_reward_trainer(stage, scorer, **common)
    policy = executor.open_policy(recipe.source, longest=stage.max_tokens, learns=True, generates=False)
    return executor.build_supervised_trainer(stage, policy, **common)


def _open_executor(model: ModelSpec) -> LocalExecutor:
    """Open what builds a rank. What it would note of a model, the driver says when it opens the same."""
    use_threads(model.threads)
    return LocalExecutor(model, lambda line: None)


def _share_cores(model: ModelSpec, count: int) -> ModelSpec:
    return model.model_copy(update={"threads": model.threads or max(1, usable_cores() // count)})


def _launch(launcher: Launcher, count: int, model: ModelSpec, gpus: float, spread: bool) -> list[Worker]:
    host: Callable[[], RankHost] = partial(RankHost, find_device(model.device).type, spread=spread)
    return [launcher.launch(f"training rank {rank}", host, cpus=model.threads, gpus=gpus) for rank in range(count)]


def _name_functions(stage: RLStage) -> RLStage:
    """Name the functions of an algorithm as every process finds them."""
    spec = stage.algorithm
    names = {"loss": registry.losses.name_elsewhere(spec.loss, "algorithm.loss")}
    if spec.advantage != GAE:
        names["advantage"] = registry.advantages.name_elsewhere(spec.advantage, "algorithm.advantage")
    return stage.model_copy(update={"algorithm": spec.model_copy(update=names)})
