"""Executes a stage with workers: engines and ranks of trainers live in them, and all else in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from dunwu import registry
from dunwu.config.schema import ExecutorName, ModelSpec, RewardModelStage, RLStage, ServedModel, SFTStage, WorkersSpec
from dunwu.errors import UserError
from dunwu.execution.engine_host import make_engine_host
from dunwu.execution.local import LocalExecutor
from dunwu.execution.ranks import BatchRankRecipe, RankRecipe, build_ranked_batch_trainer, build_ranked_trainer
from dunwu.machine import Dtype, usable_cores
from dunwu.models.places import find_device
from dunwu.models.policy import Policy
from dunwu.models.weights import MemorySource, WeightUpdate
from dunwu.rollout.engine import Engine
from dunwu.rollout.remote.engine import EndpointEngine
from dunwu.rollout.weight_folder import WeightFolder
from dunwu.rollout.workers.engine import Publisher, WorkerEngine
from dunwu.training.ranks import RankedBatchTrainer
from dunwu.workers.process import ProcessLauncher
from dunwu.workers.ray_actors import RayLauncher
from dunwu.workers.worker import Launcher

if TYPE_CHECKING:
    from dunwu.algorithms import Algorithm
    from dunwu.training.reward import PairBatch, VerdictBatch
    from dunwu.training.steps import DataTrainer, ScoringTrainer
    from dunwu.training.trainer import Trainer
    from dunwu.types import TokenizedExample


@dataclass(frozen=True, slots=True)
class Site:
    """Where workers are.

    Attributes:
        launcher: starts them.
        make_publisher: makes what brings new weights to them.
    """

    launcher: Launcher
    make_publisher: Callable[[], Publisher]


def open_site(kind: ExecutorName, cluster: str) -> Site:
    """Open the place where workers are: this machine, or a Ray cluster.

    Args:
        kind: the recipe's ``executor``.
        cluster: the recipe's.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """
    if kind == "processes":
        return Site(ProcessLauncher(), WeightFolder)
    ray = RayLauncher(cluster)
    return Site(ray, partial(ClusterPublisher, ray.put))


class ClusterPublisher:
    """Brings weights to other machines by the cluster's own store; see ``Publisher``.

    Args:
        put: gives the store an object, and returns what stands for it in a call.
    """

    def __init__(self, put: Callable[[object], object]) -> None:
        self._put = put

    def publish(self, update: WeightUpdate) -> object:
        """See ``Publisher``."""
        tensors = tuple(tensor.detach().cpu() for _, tensor in update.read())
        return self._put(replace(update, source=MemorySource(tensors)))

    def close(self) -> None:
        """See ``Publisher``: the store forgets what nobody holds."""


class DistributedExecutor:
    """See ``executor.Executor``.

    Args:
        spec: how the stage's models are held.
        message: takes lines for the user where nothing is wrong.
        site: where workers are.
        workers: how many there are of each sort.
    """

    generates_elsewhere = True

    def __init__(self, spec: ModelSpec, message: Callable[[str], None], site: Site, workers: WorkersSpec) -> None:
        self._local = LocalExecutor(spec, message)
        self._spec, self._message, self._site, self._workers = spec, message, site, workers
        self._opened: list[Opened] = []

    def close(self) -> None:
        """See ``Executor.close``."""
        self._site.launcher.close()

    def open_policy(self, source: str, *, longest: int, learns: bool, generates: bool) -> Policy:
        """See ``Executor.open_policy``. Workers that generate with it open the same source."""
        policy = self._local.open_policy(source, longest=longest, learns=learns, generates=generates)
        self._opened.append(Opened(policy, source, longest))
        return policy

    def open_reader(self, source: str, *, longest: int) -> Policy:
        """See ``Executor.open_reader``."""
        policy = self._local.open_reader(source, longest=longest)
        self._opened.append(Opened(policy, source, longest))
        return policy

    def open_scorer(self, source: str, *, longest: int, new_head: bool = False) -> Policy:
        """See ``Executor.open_scorer``. Ranks that train it open the same source, with the same seed of torch."""
        seed = torch.initial_seed()
        scorer = self._local.open_scorer(source, longest=longest, new_head=new_head)
        self._opened.append(Opened(scorer, source, longest, seed))
        return scorer

    def build_engine(self, policy: Policy, *, max_sequences: int, dtype: Dtype | None = None) -> Engine:
        """See ``Executor.build_engine``.

        Raises:
            UserError: see there; or no other process could find the engine by its name.
        """
        opened, count = self._find(policy), self._workers.rollout
        threads = self._workers.rollout_threads or max(1, (self._spec.threads or usable_cores()) // count)
        engine = registry.engines.name_elsewhere(self._spec.engine, "model.engine")
        make_host = partial(
            make_engine_host,
            opened.source,
            self._spec.model_copy(update={"threads": threads, "engine": engine}),
            longest=opened.longest,
            max_sequences=-(-max_sequences // count),
            dtype=dtype,
        )
        return WorkerEngine(
            self._site.launcher,
            make_host,
            workers=count,
            cpus=threads,
            gpus=self._gpus,
            message=self._message,
            publisher=self._site.make_publisher(),
        )

    def connect_engine(self, server: ServedModel) -> EndpointEngine:
        """See ``Executor.connect_engine``."""
        return self._local.connect_engine(server)

    def build_policy_trainer(
        self, stage: RLStage, policy: Policy, algorithm: Algorithm, *, seed: int, value_network: Policy | None = None
    ) -> Trainer:
        """See ``Executor.build_policy_trainer``. Over ranks, they learn, and ``policy`` stays as it is."""
        if self._workers.training == 1:
            return self._local.build_policy_trainer(stage, policy, algorithm, seed=seed, value_network=value_network)
        value = None if value_network is None else self._find(value_network)
        recipe = RankRecipe(
            stage=stage,
            model=self._spec,
            source=self._find(policy).source,
            seed=seed,
            value_source=value.source if value else None,
            value_seed=value.seed if value else 0,
        )
        self._check_machines()
        return build_ranked_trainer(self._site.launcher, self._workers.training, recipe, gpus=self._gpus)

    def build_supervised_trainer(
        self, stage: SFTStage, policy: Policy, *, total_steps: int, seed: int
    ) -> DataTrainer[Sequence[TokenizedExample]]:
        """See ``Executor.build_supervised_trainer``. Over ranks, they learn, and ``policy`` stays as it is."""
        if self._workers.training == 1:
            return self._local.build_supervised_trainer(stage, policy, total_steps=total_steps, seed=seed)
        return self._build_batch_trainer(stage, policy, total_steps, seed)

    def build_reward_trainer(
        self, stage: RewardModelStage, scorer: Policy, *, total_steps: int, seed: int
    ) -> ScoringTrainer[PairBatch | VerdictBatch]:
        """See ``Executor.build_reward_trainer``. Over ranks, they learn, and ``scorer`` stays as it is."""
        if self._workers.training == 1:
            return self._local.build_reward_trainer(stage, scorer, total_steps=total_steps, seed=seed)
        return self._build_batch_trainer(stage, scorer, total_steps, seed)

    def _build_batch_trainer(
        self, stage: SFTStage | RewardModelStage, policy: Policy, total_steps: int, seed: int
    ) -> RankedBatchTrainer:
        opened = self._find(policy)
        recipe = BatchRankRecipe(
            stage=stage,
            model=self._spec,
            source=opened.source,
            seed=seed,
            total_steps=total_steps,
            head_seed=opened.seed,
        )
        self._check_machines()
        return build_ranked_batch_trainer(self._site.launcher, self._workers.training, recipe, gpus=self._gpus)

    @property
    def _gpus(self) -> float:
        """Devices of each worker."""
        return float(find_device(self._spec.device).type == "cuda")

    def _check_machines(self) -> None:
        """Refuse ranks where they could be on several machines: they write checkpoints where they are."""
        if isinstance(self._site.launcher, RayLauncher) and self._site.launcher.machines > 1:
            raise UserError("ranks train on one machine alone, and this cluster has several", field="workers.training")

    def _find(self, policy: Policy) -> Opened:
        return next(opened for opened in self._opened if opened.policy is policy)


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that was opened here, and how a worker opens the same.

    Attributes:
        policy: the model.
        source: where it lies.
        longest: tokens of its longest sequence.
        seed: torch's, from which a new head was drawn.
    """

    policy: Policy
    source: str
    longest: int
    seed: int = 0
